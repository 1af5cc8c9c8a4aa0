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
    /// What outlives the process; `nil` for an arena that does not.
    let file: MemoryFile?
    /// Whose blocks the arena holds or has held.
    let tenancy: ArenaTenancy
    let space: Mutex<Space>
    let recency: Mutex<Recency>
    let clock: any CacheClock
    let onRemoval: MemoryTier.RemovalHandler
    /// What opening the file came to.
    let report: MemoryFileReport?
    /// Whether there may be blocks that were taken over and not proved yet.
    let hasUnverified = Atomic<Bool>(false)
    let verifiedBlockTotal = Atomic<UInt64>(0)
    let damagedBlockTotal = Atomic<UInt64>(0)
    /// Whether dirty blocks may be evicted; read under a shard's lock.
    let isDirtyEvictable = Atomic<Bool>(false)

    init(
        _ configuration: MemoryTierConfiguration,
        clock: any CacheClock,
        onRemoval: @escaping MemoryTier.RemovalHandler
    ) throws(CacheError) {
        let opened = try Self.open(configuration)
        file = opened.file
        report = opened.report
        if let file = opened.file {
            arena = file.arena
        } else {
            arena = try Arena(byteCount: configuration.byteCount, sharesWrites: configuration.sharesWrites)
        }
        tenancy = ArenaTenancy(opened.file?.occupants ?? .nobody) { [file = opened.file] occupants in
            file?.updateHeader { $0.occupants = occupants }
        }
        space = Mutex(
            Space(
                byteCount: configuration.byteCount,
                claimedByteCount: opened.file?.claimedByteCount ?? configuration.byteCount,
                blockCountMax: configuration.blockCountMax
            )
        )
        recency = Mutex(
            Recency(
                configuration.policy,
                slotCount: configuration.blockCountMax + configuration.blockCountMax / 8
            )
        )
        self.clock = clock
        self.onRemoval = onRemoval
    }

    private static func open(
        _ configuration: MemoryTierConfiguration
    ) throws(CacheError) -> (file: MemoryFile?, report: MemoryFileReport?) {
        guard let wanted = configuration.file else { return (nil, nil) }
        let opening = MemoryFileOpening(
            configuration: wanted,
            layout: MemoryFileLayout(
                arenaByteCount: configuration.byteCount,
                blockCountMax: configuration.blockCountMax
            ),
            sharesWrites: configuration.sharesWrites
        )
        var report = MemoryFileReport()
        switch try opening.open() {
        case .takenBack(let file):
            report.path = file.path
            report.isTakenBack = true
            return (file, report)
        case .fresh(let file, let discarded):
            report.path = file.path
            report.discarded = discarded
            return (file, report)
        case .unavailable(let reason):
            report.unavailable = reason
            return (nil, report)
        }
    }

    /// Gives out more of a memory file; false when there is no more.
    func grow(byteCount: Int) -> Bool {
        guard let file, let claimed = file.claim(byteCount: byteCount) else {
            if file?.isShort == true { space.withLock { $0.settleForLess() } }
            return false
        }
        space.withLock { $0.allocator.grow(to: claimed / Extent.granuleByteCount) }
        return true
    }

    /// Milliseconds since 1970.
    var now: UInt64 { clock.unixMilliseconds() }

    /// Does what a removal leaves to do outside the shard's lock.
    func finish(_ departure: Departure) {
        if let node = departure.extentNode { space.withLock { $0.allocator.free(node) } }
        onRemoval(departure.identity, departure.summary, departure.reason)
    }
}
