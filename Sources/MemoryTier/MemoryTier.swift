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
    let provingPosition = Mutex(WalkPosition())
    private let takenOver: Mutex<[TakenOverBlock]>
    /// What opening the memory file came to; `nil` when none was wanted.
    package let fileReport: MemoryFileReport?

    /// The shared memory that holds the blocks.
    package var arena: Arena { core.arena }

    /// Whose blocks the arena holds or has held; asked before a block enters it, and before it is shared.
    package var tenancy: ArenaTenancy { core.tenancy }

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
        let shards = (0..<configuration.shardCount).map {
            Shard($0, numberBits: numberBits, entryCount: entryCount, core: core)
        }
        self.shards = shards
        self.core = core
        shardNumberBits = numberBits
        prefaults = configuration.prefaults
        if let file = core.file, core.report?.isTakenBack == true {
            let recovery = MemoryRecovery(file: file, core: core, shards: shards)
            let start = clock.monotonicNanoseconds()
            var (blocks, report) = recovery.run()
            report.seconds = Double(clock.monotonicNanoseconds() &- start) / 1e9
            fileReport = report
            takenOver = Mutex(blocks)
        } else {
            fileReport = core.report
            takenOver = Mutex([])
        }
    }

    /// The blocks of the run before, the oldest first; once, to whoever knows the other tiers.
    package func takeTakenOver() -> [TakenOverBlock] {
        takenOver.withLock { blocks in
            defer { blocks = [] }
            return blocks
        }
    }

    /// What the disk does not have yet, kept for the next run; `nil` without a memory file.
    package var pendingChanges: PendingChanges? { core.file?.changes }

    /// The shard that an identity belongs to.
    @inline(__always)
    func shard(of identity: BlockIdentity) -> Shard {
        shards[Int(truncatingIfNeeded: identity.bits) & (shards.count - 1)]
    }

    /// The shard that a slot belongs to.
    @inline(__always)
    func shard(ofSlot slot: UInt32) -> Shard { shards[Int(slot) & (shards.count - 1)] }
}
