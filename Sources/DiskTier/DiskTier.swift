package import Blocks
import PayloadCoding
import Synchronization

/// Blocks on disk: an exact index in memory over a log of segments in RocksDB.
///
/// A unit (one sorted table, some 64 MiB) is written to a file of its own and then taken into the newest
/// segment (a column family): payload and metadata become visible and durable in one step. Where the budget
/// is reached, the oldest segment is dropped whole, after the blocks that earned it were written again.
///
/// Lookups and changes of the index never wait for the disk; reading, writing, scanning and opening do.
package final class DiskTier: Sendable {
    /// Told of each block that leaves, outside all locks, on the thread that removed it.
    package typealias RemovalHandler = @Sendable (BlockIdentity, BlockSummary, DiskRemovalReason) -> Void

    /// What opening found.
    package let openReport: DiskOpenReport
    /// The largest payload that is taken, bytes: a quarter of the budget, at most 512 MiB.
    package let payloadByteCountMax: Int

    let configuration: DiskTierConfiguration
    let clock: any CacheClock
    let onRemoval: RemovalHandler
    let directory: DataDirectory
    let options: RocksOptions
    let index: BlockIndex
    let segments: SegmentTable
    let graveyard: FamilyGraveyard
    let counters = DiskCounters()
    /// Taken before a shard of the index, never after.
    let writeState: Mutex<WriteState>
    let mark: DurableMark
    /// Bytes of the table being written, for the statistics.
    let openTableByteCount = Atomic<Int>(0)
    let setAsideByteCount: Atomic<Int>
    let scratches = ScratchPool()
    let isWriting = Atomic<Bool>(false)
    /// Set by a failed change of the database, which is opened anew before the next.
    let needsReopening = Atomic<Bool>(false)
    private let database: Mutex<RocksDatabase?>
    private let lock: Mutex<DirectoryLock?>
    private let users = Monitor(Users())

    /// How long readers wait for a reopening, and a reopening for readers, seconds.
    private static let reopeningSecondsMax = 5

    private struct Users {
        var count = 0
        /// Whether the database is being opened anew, or waits for that.
        var isReplacing = false
        var isClosed = false
    }

    /// Opens the directory of `configuration`, or makes it; blocks until the index is rebuilt.
    ///
    /// A database that cannot be used is set aside and the tier starts empty; the report says so.
    package static func open(
        _ configuration: DiskTierConfiguration,
        clock: any CacheClock,
        onRemoval: @escaping RemovalHandler = { _, _, _ in }
    ) throws(CacheError) -> DiskTier {
        let opening = try DiskTierOpening(configuration, clock: clock)
        let tier = DiskTier(opening, onRemoval: onRemoval)
        tier.shrinkToBudget()
        return tier
    }

    private init(_ opening: consuming DiskTierOpening, onRemoval: @escaping RemovalHandler) {
        configuration = opening.configuration
        clock = opening.clock
        self.onRemoval = onRemoval
        openReport = opening.report
        payloadByteCountMax = min(opening.configuration.byteCountMax / 4, Limits.payloadByteCountMax)
        directory = opening.directory
        options = opening.options
        index = opening.index
        segments = opening.segments
        graveyard = opening.graveyard
        writeState = Mutex(opening.writeState)
        mark = opening.mark
        setAsideByteCount = Atomic(opening.directory.setAsideByteCount)
        database = Mutex(opening.database)
        lock = Mutex(opening.lock)
    }

    deinit { close() }

    // MARK: Index

    /// What the index knows of a block; `nil` when it is absent or expired.
    ///
    /// Never waits for the disk.
    package func summary(_ identity: BlockIdentity) -> BlockSummary? { liveEntry(identity)?.summary }

    /// Holds a block: it is carried forward when its segment goes.
    ///
    /// Gives its payload bytes, `nil` when absent.
    package func retain(_ identity: BlockIdentity) -> Int? {
        guard liveEntry(identity) != nil else { return nil }
        return index.retain(identity).map { Int($0.payloadByteCount) }
    }

    /// Ends one hold.
    package func release(_ identity: BlockIdentity) { index.release(identity) }

    /// Takes a block out of the index now; the next unit carries the tombstone.
    ///
    /// Whether it was there.
    package func invalidate(_ identity: BlockIdentity) -> Bool { invalidateNoting(identity) != nil }

    /// The same; gives the place in the log before which copies are taken out, `nil` when there was none.
    package func invalidateNoting(_ identity: BlockIdentity) -> UInt64? {
        let (entry, bound) = writeState.withLock { state -> (IndexEntry?, UInt64?) in
            let entry = index.remove(identity)
            let wasThere = state.invalidate(identity, isIndexed: entry != nil)
            return (entry, wasThere ? state.bound.asNumber : nil)
        }
        if let entry { onRemoval(identity, entry.summary, .deleted) }
        return bound
    }

    /// Takes every block of a namespace out of the index now.
    ///
    /// Looks at every block of the tier for that, some 30 ms for a million. Gives how many there were.
    package func invalidateAll(prefix: KeyPrefix) -> Int { invalidateAllNoting(prefix: prefix).count }

    /// The same; gives also the place in the log before which copies are taken out, `nil` when there was none.
    package func invalidateAllNoting(prefix: KeyPrefix) -> (count: Int, bound: UInt64?) {
        let (hidden, bound) = writeState.withLock { $0.clear(prefix) }
        var count = 0
        index.removeAll {
            $0.identity.prefix == prefix && $0.location < bound
        } removed: { entry in
            count += 1
            onRemoval(entry.identity, entry.summary, .cleared)
        }
        writeState.withLock { $0.endClear(prefix) }
        guard count > 0 || hidden > 0 else {
            writeState.withLock { $0.withdrawClear(prefix, bound: bound) }
            return (0, nil)
        }
        return (count, bound.asNumber)
    }

    /// Changes time to live or pin of a block; the next unit carries the change.
    ///
    /// `nil` when it is absent or expired.
    package func update(
        _ identity: BlockIdentity,
        _ change: (inout BlockAttributes) -> Void
    ) -> BlockSummary? {
        updateNoting(identity, change)?.summary
    }

    /// The same; gives also the place in the log before which the copy is that was changed.
    package func updateNoting(
        _ identity: BlockIdentity,
        _ change: (inout BlockAttributes) -> Void
    ) -> (summary: BlockSummary, bound: UInt64)? {
        let now = clock.unixMilliseconds()
        return writeState.withLock { state in
            guard var entry = state.openBlocks[identity] ?? index.entry(identity), !entry.isExpired(at: now)
            else { return nil }
            let before = entry.attributes
            change(&entry.attributes)
            if entry.attributes != before {
                _ = index.update(identity) { $0.attributes = entry.attributes }
                state.update(entry)
            }
            return (entry.summary, state.bound.asNumber)
        }
    }

    /// Whether tombstones or attribute changes wait for a unit, or a damaged segment waits to be given up.
    package var hasPendingRecords: Bool {
        writeState.withLock { $0.pendingRecordCount > 0 } || segments.all.contains { $0.isCondemned }
    }

    /// The entry of a block whose time is not over.
    func liveEntry(_ identity: BlockIdentity) -> IndexEntry? {
        guard let entry = index.entry(identity) else { return nil }
        guard entry.isExpired(at: clock.unixMilliseconds()) else { return entry }
        // Its header says when it expires: no tombstone is needed.
        if index.remove(identity, at: entry.location) != nil {
            onRemoval(identity, entry.summary, .expired)
        }
        return nil
    }

    // MARK: Life

    /// Lends the database to work that may block; `nil` after `close`, and while it cannot be opened anew.
    ///
    /// Waits while that is tried, not long. `body` must not ask for the database again.
    func withDatabase<Result>(
        _ body: (RocksDatabase) throws(CacheError) -> Result
    ) throws(CacheError) -> Result? {
        let isOpen = users.wait(seconds: Self.reopeningSecondsMax) { users -> Bool? in
            if users.isClosed { return false }
            if users.isReplacing { return nil }
            users.count += 1
            return true
        }
        guard isOpen == true else { return nil }
        defer { users.withLock(signals: true) { $0.count -= 1 } }
        guard let database = database.withLock({ $0 }) else { return nil }
        return try body(database)
    }

    /// Lends the database with a segment's family to work that may block.
    ///
    /// `nil` as `withDatabase` says, and when the segment was dropped.
    func withFamily<Result>(
        of segment: Segment,
        _ body: (RocksDatabase, RocksFamily) throws(CacheError) -> Result
    ) throws(CacheError) -> Result? {
        let result = try withDatabase { database throws(CacheError) -> Result? in
            guard let family = segment.family else { return nil }
            return try body(database, family)
        }
        return result ?? nil
    }

    /// Puts another database in the place of this one while nobody uses it.
    ///
    /// `release` gives up what else keeps it open; it is closed before `opening`. There is none when that throws.
    func replaceDatabase(
        _ release: () throws(CacheError) -> Void,
        opening: () throws(CacheError) -> RocksDatabase
    ) throws(CacheError) {
        let isMine = users.wait(seconds: Self.reopeningSecondsMax) { users -> Bool? in
            if users.isClosed { return false }
            users.isReplacing = true
            return users.count == 0 ? true : nil
        }
        defer { users.withLock(signals: true) { $0.isReplacing = false } }
        guard let isMine else { throw CacheError(.overloaded, "the database is still being read") }
        guard isMine else { throw CacheError(.shuttingDown, "the disk tier is closed") }
        try release()
        database.withLock { $0 = nil }
        let fresh = try opening()
        database.withLock { $0 = fresh }
    }

    /// Ends the tier cleanly; waits for readers and for the thread that unlinks.
    ///
    /// Further reads are misses.
    package func close() {
        let isFirst = users.withLock(signals: true) { users in
            defer { users.isClosed = true }
            return !users.isClosed
        }
        guard isFirst else { return }
        users.wait { $0.count == 0 && !$0.isReplacing ? () : nil }
        segments.removeAll()
        graveyard.close()
        database.withLock { $0 = nil }
        lock.withLock { $0 = nil }
    }
}
