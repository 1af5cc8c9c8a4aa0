package import Blocks
internal import Synchronization

/// The blocks in memory: one arena, a sharded index, leases by reference count, eviction by policy.
///
/// All calls are synchronous, short and safe from any thread; only `prefault` and `evict(untilFreeByteCount:)` are
/// for threads that may wait. A block is visible from `commit` until it is evicted, expired, replaced or removed;
/// its bytes stay in place until the last lease ends.
package final class MemoryTier: Sendable {
    /// Told of every block that left and why; called outside all locks, on the thread that removed it.
    package typealias RemovalHandler = @Sendable (BlockIdentity, BlockSummary, RemovalReason) -> Void

    let core: MemoryCore
    let shards: [Shard]
    let shardNumberBits: Int
    let prefaults: Bool
    let prefaultedByteCount = Atomic<Int>(0)
    let sweepPosition = Mutex(WalkPosition())

    /// The shared memory that holds the blocks.
    package var arena: Arena { core.arena }

    /// Maps the arena; `.invalidArgument` for a configuration out of bounds, `.storageFailure` without memory.
    package init(
        _ configuration: MemoryTierConfiguration,
        clock: any CacheClock,
        onRemoval: @escaping RemovalHandler = { _, _, _ in }
    ) throws(CacheError) {
        try configuration.validate()
        let core = try MemoryCore(configuration, clock: clock, onRemoval: onRemoval)
        let numberBits = configuration.shardCount.trailingZeroBitCount
        // Shards fill evenly; a little more room than the mean costs address space only.
        let entryCount = configuration.blockCountMax / configuration.shardCount * 9 / 8 + 64
        shards = (0..<configuration.shardCount).map {
            Shard($0, numberBits: numberBits, entryCount: entryCount, core: core)
        }
        self.core = core
        shardNumberBits = numberBits
        prefaults = configuration.prefaults
    }

    /// The shard that an identity belongs to.
    @inline(__always)
    func shard(of identity: BlockIdentity) -> Shard {
        shards[Int(truncatingIfNeeded: identity.bits) & (shards.count - 1)]
    }

    /// The shard that a slot belongs to.
    @inline(__always)
    func shard(ofSlot slot: UInt32) -> Shard { shards[Int(slot) & (shards.count - 1)] }
}
