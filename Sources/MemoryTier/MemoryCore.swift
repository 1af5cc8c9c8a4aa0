internal import Blocks
internal import Synchronization

/// What all shards share: arena, space, recency, clock.
///
/// Outlives every lease and reservation.
///
/// Lock order: a shard's lock, then `recency` or `space`; neither of the two while the other is held, and none
/// across `onRemoval`.
final class MemoryCore: Sendable {
    let arena: Arena
    let space: Mutex<Space>
    let recency: Mutex<Recency>
    let clock: any CacheClock
    let onRemoval: MemoryTier.RemovalHandler
    /// Whether dirty blocks may be evicted; read under a shard's lock.
    let isDirtyEvictable = Atomic<Bool>(false)

    init(
        _ configuration: MemoryTierConfiguration,
        clock: any CacheClock,
        onRemoval: @escaping MemoryTier.RemovalHandler
    ) throws(CacheError) {
        arena = try Arena(byteCount: configuration.byteCount, sharesWrites: configuration.sharesWrites)
        space = Mutex(Space(byteCount: configuration.byteCount, blockCountMax: configuration.blockCountMax))
        recency = Mutex(
            Recency(
                configuration.policy,
                slotCount: configuration.blockCountMax + configuration.blockCountMax / 8
            )
        )
        self.clock = clock
        self.onRemoval = onRemoval
    }

    /// Milliseconds since 1970.
    var now: UInt64 { clock.unixMilliseconds() }

    /// Does what a removal leaves to do outside the shard's lock.
    func finish(_ departure: Departure) {
        if let node = departure.extentNode { space.withLock { $0.allocator.free(node) } }
        onRemoval(departure.identity, departure.summary, departure.reason)
    }
}
