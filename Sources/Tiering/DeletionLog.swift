internal import Blocks
internal import Synchronization

/// When blocks were deleted, so that a copy that was on its way meanwhile is not taken for a new block.
///
/// Blocks of described namespaces lie on several nodes and travel between them; a deletion is an event in time for all of
/// them. A tombstone says that every block of an identity, or of a whole key space, that was made at or before a time is
/// gone. Each node keeps tombstones of all deletions that it has heard of, the newest `countMax`, and remembers the time
/// of the newest that it has dropped as its `floor`: of deletions after the floor it knows all it has ever heard.
///
/// Times are milliseconds since 1970 by the clock of the node at which a client asked for the deletion, but never before
/// the creation of the copies that the nodes hold: so a deletion wins over what was there, however far clocks are apart. A
/// block that is put after it is made one millisecond later than the tombstone at the least.
final class DeletionLog: Sendable {
    private struct Entry {
        let record: DeletionRecord
        let identity: BlockIdentity?
        let prefix: KeyPrefix
        /// When this node heard of it, milliseconds since 1970 by its own clock.
        let notedAt: UInt64
    }

    private struct State {
        /// The entry of number `first + index`.
        var entries: ArraySlice<Entry> = []
        var first: UInt64 = 1
        var byteCount = 0
        var floor: UInt64
        var times: [BlockIdentity: UInt64] = [:]
        var clears: [KeyPrefix: UInt64] = [:]
    }

    /// Names the log among those that this node has had: a node that lost its log says so by another number.
    let id: UInt64
    private let state: Mutex<State>
    private let countMax: Int
    private let byteCountMax: Int

    /// An empty log that is complete from `now` (milliseconds since 1970) on.
    init(id: UInt64 = .random(in: 1...UInt64(Int64.max)), countMax: Int, byteCountMax: Int, now: UInt64) {
        self.id = id
        self.countMax = max(1, countMax)
        self.byteCountMax = byteCountMax
        state = Mutex(State(floor: now))
    }

    /// Tombstones, and the time since when all that were heard of are here.
    var status: (count: Int, floor: UInt64) { state.withLock { ($0.entries.count, $0.floor) } }

    /// Notes a deletion. A tombstone that is older than the one that is known changes nothing.
    func note(_ record: DeletionRecord, identity: BlockIdentity?, prefix: KeyPrefix, now: UInt64) {
        state.withLock { state in
            if let identity {
                guard record.deletedAt > state.times[identity] ?? 0 else { return }
                state.times[identity] = record.deletedAt
            } else {
                guard record.deletedAt > state.clears[prefix] ?? 0 else { return }
                state.clears[prefix] = record.deletedAt
            }
            state.entries.append(Entry(record: record, identity: identity, prefix: prefix, notedAt: now))
            state.byteCount += Self.byteCount(of: record)
            while state.entries.count > countMax || state.byteCount > byteCountMax { Self.dropOldest(&state) }
        }
    }

    /// The time of the tombstone of an identity, its own or its key space's; `nil` for none.
    func deletedAt(_ identity: BlockIdentity) -> UInt64? {
        state.withLock { state in
            let own = state.times[identity]
            let clear = state.clears[identity.prefix]
            return own.map { max($0, clear ?? 0) } ?? clear
        }
    }

    /// Whether a block that was made at a time (milliseconds since 1970) has been deleted since.
    func covers(_ identity: BlockIdentity, createdAt: UInt64) -> Bool {
        deletedAt(identity).map { createdAt <= $0 } ?? false
    }

    /// The deletions that were heard of at or after `since`, from entry number `cursor` on and at most `countMax`; `next`
    /// is the number to go on with, `nil` when there are no more.
    func page(since: UInt64, cursor: UInt64, countMax: Int) -> (records: [DeletionRecord], next: UInt64?) {
        state.withLock { state in
            var records: [DeletionRecord] = []
            var number = max(cursor, state.first)
            let end = state.first + UInt64(state.entries.count)
            while number < end, records.count < countMax {
                let entry = state.entries[state.entries.startIndex + Int(number - state.first)]
                if entry.notedAt >= since { records.append(entry.record) }
                number += 1
            }
            return (records, number < end ? number : nil)
        }
    }

    private static func dropOldest(_ state: inout State) {
        guard let oldest = state.entries.popFirst() else { return }
        state.first += 1
        state.byteCount -= byteCount(of: oldest.record)
        state.floor = max(state.floor, oldest.notedAt)
        // A newer deletion of the same has an entry of its own, whose time it is then.
        if let identity = oldest.identity {
            if state.times[identity] == oldest.record.deletedAt { state.times[identity] = nil }
        } else if state.clears[oldest.prefix] == oldest.record.deletedAt {
            state.clears[oldest.prefix] = nil
        }
    }

    private static func byteCount(of record: DeletionRecord) -> Int { 128 + (record.key?.count ?? 0) }
}
