package import Blocks

/// Blocks on disk: an exact index in memory over a log of segments in RocksDB.
package final class DiskTier: Sendable {
    /// Told of each block that leaves, outside all locks, on the thread that removed it.
    package typealias RemovalHandler = @Sendable (BlockIdentity, BlockSummary, DiskRemovalReason) -> Void

    /// What opening found.
    package let openReport: DiskOpenReport

    /// Opens the directory of `configuration`, or makes it; blocks until the index is rebuilt.
    package static func open(
        _ configuration: DiskTierConfiguration,
        clock: any CacheClock,
        onRemoval: @escaping RemovalHandler = { _, _, _ in }
    ) throws(CacheError) -> DiskTier {
        DiskTier()
    }

    private init() { openReport = DiskOpenReport() }

    /// What the index knows of a block; `nil` when it is absent or expired. Never waits for the disk.
    package func summary(_ identity: BlockIdentity) -> BlockSummary? { nil }

    /// Holds a block: it is carried forward when its segment goes. Gives its payload bytes, `nil` when absent.
    package func retain(_ identity: BlockIdentity) -> Int? { nil }

    /// Ends one hold.
    package func release(_ identity: BlockIdentity) {}

    /// Takes a block out of the index now; the next unit carries the tombstone. Whether it was there.
    package func invalidate(_ identity: BlockIdentity) -> Bool { false }

    /// Takes every block of a namespace out of the index now. Gives how many.
    package func invalidateAll(prefix: KeyPrefix) -> Int { 0 }

    /// Changes time to live or pin of a block; the next unit carries the change.
    package func update(
        _ identity: BlockIdentity,
        _ change: (inout BlockAttributes) -> Void
    ) -> BlockSummary? { nil }

    /// Whether tombstones or attribute changes wait for a unit.
    package var hasPendingRecords: Bool { false }

    /// Reads, decodes and verifies a block into `destination`, which has exactly its payload's length. Blocks.
    package func read(
        _ identity: BlockIdentity,
        key: RawSpan,
        into destination: UnsafeMutableRawBufferPointer
    ) throws(CacheError) -> BlockHeader? { nil }

    /// Starts a unit; one at a time. Blocks.
    package func beginUnit() throws(CacheError) -> UnitWriter { UnitWriter() }

    /// Visits about `count` blocks after `cursor` (0 at the start); gives the next cursor, 0 at the end. Blocks.
    package func scan(
        prefix: KeyPrefix?,
        cursor: UInt64,
        count: Int,
        visit: (BlockIdentity, [UInt8], BlockSummary) -> Void
    ) throws(CacheError) -> UInt64 { 0 }

    /// Counters and gauges. Walks the directory: blocks.
    package func statistics() -> DiskStatistics { DiskStatistics() }

    /// Ends the tier cleanly; waits for readers and for the drop thread. Further reads are misses.
    package func close() {}
}
