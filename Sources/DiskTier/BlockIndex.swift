import Blocks
import Synchronization

/// The exact index of all blocks on disk, in memory; any thread, never the disk.
final class BlockIndex: Sendable {
    private static let shardCount = 64
    /// Entries looked at under one lock when a whole shard is visited.
    private static let strideCount = 2_048

    private final class Cell: Sendable {
        let shard = Mutex(IndexShard())
    }

    private let cells = (0..<BlockIndex.shardCount).map { _ in Cell() }
    private let total = Atomic<Int>(0)

    /// Blocks held.
    var count: Int { total.load(ordering: .relaxed) }

    /// Bytes of memory that the entries and their slots take.
    var byteCount: Int { cells.reduce(0) { $0 + $1.shard.withLock { $0.byteCount } } }

    func entry(_ identity: BlockIdentity) -> IndexEntry? {
        cell(identity).shard.withLock { $0.entry(identity) }
    }

    /// Adds or replaces.
    ///
    /// Gives what was there.
    @discardableResult
    func insert(_ entry: IndexEntry) -> IndexEntry? {
        let old = cell(entry.identity).shard.withLock { $0.insert(entry) }
        if old == nil { total.add(1, ordering: .relaxed) }
        return old
    }

    /// Adds or replaces, unless what is there is newer.
    ///
    /// Gives the older of the two, if there are two.
    func insertIfNewer(_ entry: IndexEntry) -> IndexEntry? {
        let older = cell(entry.identity).shard.withLock { $0.insert(entry, keepsNewer: true) }
        if older == nil { total.add(1, ordering: .relaxed) }
        return older
    }

    /// Removes a block, when it lies at `location` if one is given.
    ///
    /// Gives what was there.
    @discardableResult
    func remove(_ identity: BlockIdentity, at location: BlockLocation? = nil) -> IndexEntry? {
        remove(identity) { location == nil || $0.location == location }
    }

    /// Removes a block for which `condition` holds.
    func remove(_ identity: BlockIdentity, where condition: (IndexEntry) -> Bool) -> IndexEntry? {
        let old = cell(identity).shard.withLock { $0.remove(identity, where: condition) }
        if old != nil { total.subtract(1, ordering: .relaxed) }
        return old
    }

    /// Removes the block at `location`, unless a lease or a pin holds it.
    ///
    /// Gives what was there; once this has, the block cannot be leased any more.
    func removeUnlessHeld(
        _ identity: BlockIdentity,
        at location: BlockLocation,
        unixMilliseconds: UInt64
    ) -> IndexEntry? {
        let old = cell(identity).shard.withLock { shard in
            shard.holds[identity] != nil
                ? nil
                : shard.remove(identity) { $0.location == location && !$0.isPinned(at: unixMilliseconds) }
        }
        if old != nil { total.subtract(1, ordering: .relaxed) }
        return old
    }

    /// Changes a block's entry.
    ///
    /// Gives it as it is then.
    func update(_ identity: BlockIdentity, _ change: (inout IndexEntry) -> Void) -> IndexEntry? {
        cell(identity).shard.withLock { $0.update(identity, change) }
    }

    /// Holds a block that is here.
    ///
    /// Gives its entry.
    func retain(_ identity: BlockIdentity) -> IndexEntry? {
        cell(identity).shard.withLock { shard in
            guard let entry = shard.entry(identity) else { return nil }
            shard.holds[identity, default: 0] += 1
            return entry
        }
    }

    /// Ends one hold; nothing happens when there is none.
    func release(_ identity: BlockIdentity) {
        cell(identity).shard.withLock { shard in
            guard let holds = shard.holds[identity] else { return }
            shard.holds[identity] = holds > 1 ? holds - 1 : nil
        }
    }

    /// Visits all entries, with whether they are held; entries that come or go meanwhile may be missed.
    func forEach(_ visit: (IndexEntry, _ isHeld: Bool) -> Void) {
        for cell in cells {
            var upper = cell.shard.withLock { $0.count }
            while upper > 0 {
                let lower = max(0, upper - Self.strideCount)
                let batch = cell.shard.withLock { shard in
                    (lower..<min(upper, max(lower, shard.count))).map { number in
                        let entry = shard[number]
                        return (entry, !shard.holds.isEmpty && shard.holds[entry.identity] != nil)
                    }
                }
                for (entry, isHeld) in batch { visit(entry, isHeld) }
                upper = lower
            }
        }
    }

    /// Removes all entries for which `condition` holds; gives each to `removed` outside the lock.
    func removeAll(where condition: (IndexEntry) -> Bool, removed: (IndexEntry) -> Void) {
        for cell in cells {
            // Downwards: what takes a removed entry's place is the last one, which has been seen.
            var upper = cell.shard.withLock { $0.count }
            while upper > 0 {
                let lower = max(0, upper - Self.strideCount)
                let batch = cell.shard.withLock { shard in
                    var batch: [IndexEntry] = []
                    for number in (lower..<min(upper, max(lower, shard.count))).reversed() {
                        let entry = shard[number]
                        guard condition(entry) else { continue }
                        if let entry = shard.remove(entry.identity, where: { _ in true }) {
                            batch.append(entry)
                        }
                    }
                    return batch
                }
                total.subtract(batch.count, ordering: .relaxed)
                for entry in batch { removed(entry) }
                upper = lower
            }
        }
    }

    /// Sums over all blocks.
    struct Totals {
        var payloadByteCount = 0
        var storedByteCount = 0
        var pinnedBlockCount = 0
        var pinnedByteCount = 0
        var heldBlockCount = 0
        var heldByteCount = 0
    }

    /// Sums as they are now; visits single entries only where there are pins.
    func totals(at unixMilliseconds: UInt64) -> Totals {
        var totals = Totals()
        for cell in cells {
            cell.shard.withLock { shard in
                totals.payloadByteCount += shard.payloadByteCount
                totals.storedByteCount += shard.storedByteCount
                for identity in shard.holds.keys {
                    totals.heldBlockCount += 1
                    totals.heldByteCount += shard.entry(identity).map { Int($0.payloadByteCount) } ?? 0
                }
                guard shard.everPinnedCount > 0 else { return }
                for number in 0..<shard.count where shard[number].isPinned(at: unixMilliseconds) {
                    totals.pinnedBlockCount += 1
                    totals.pinnedByteCount += Int(shard[number].payloadByteCount)
                }
            }
        }
        return totals
    }

    private func cell(_ identity: BlockIdentity) -> Cell {
        cells[Int(truncatingIfNeeded: identity.bits >> 58)]
    }
}
