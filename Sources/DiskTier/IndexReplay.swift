import Blocks
import Synchronization

/// Rebuilds the index from the units' tails.
///
/// Every record says itself what it concerns (a block's location, the bound below which a tombstone hides),
/// so units can be read in any order, by several threads; what hides is applied at the end.
final class IndexReplay: Sendable {
    /// A unit and where it is.
    struct Job: Sendable {
        let unit: Segment.Unit
        let segment: Segment
    }

    private struct State {
        var jobs: [Job]
        var runningCount = 0
        var hidden: [Hidden] = []
        var damagedUnits: Set<UInt32> = []
    }

    private struct Hidden {
        let unit: UInt32
        let record: TailRecord
    }

    private let index: BlockIndex
    private let database: RocksDatabase
    private let state: Monitor<State>
    private static let readAheadByteCount = 1 << 20
    // One beside the caller: while one waits for the disk, the other fills the index.
    private static let threadCount = 1

    /// Prepares to read `jobs`, which ascend by unit.
    init(_ jobs: [Job], into index: BlockIndex, from database: RocksDatabase) {
        self.index = index
        self.database = database
        state = Monitor(State(jobs: jobs))
    }

    /// What was found beside the blocks.
    struct Outcome {
        /// Units whose tails could not be read whole.
        var damagedUnits: Set<UInt32> = []
        /// What the newest unit hid, to be said once more.
        var echoes: [TailRecord] = []
        var clears: [KeyPrefix: BlockLocation] = [:]
    }

    /// Reads all units; returns when the index holds what they say.
    func run() throws(CacheError) -> Outcome {
        // The newest comes last: only then is it known which blocks it replaced.
        let newest = state.withLock { $0.jobs.popLast() }
        let threadCount = min(Self.threadCount, state.withLock { $0.jobs.count })
        for _ in 0..<threadCount {
            state.withLock { $0.runningCount += 1 }
            do throws(CacheError) {
                try startThread { [self] in
                    work()
                    state.withLock(signals: true) { $0.runningCount -= 1 }
                }
            } catch {
                state.withLock { $0.runningCount -= 1 }
            }
        }
        // This thread helps, and does it all where no other could be started.
        work()
        state.wait { $0.runningCount == 0 ? () : nil }
        var replaced: [TailRecord] = []
        if let newest {
            let bound = BlockLocation(unit: newest.unit.number, number: 0)
            replay(newest) { old in
                if old.location < bound { replaced.append(.tombstone(identity: old.identity, bound: bound)) }
            }
        }
        return apply(newest: newest?.unit.number, replaced: replaced)
    }

    private func work() {
        while let job = state.withLock({ $0.jobs.popLast() }) { replay(job) { _ in } }
    }

    private func replay(_ job: Job, replaced: (IndexEntry) -> Void) {
        var hidden: [Hidden] = []
        let isWhole = read(job) { bytes in
            take(bytes, unit: job.unit.number, hidden: &hidden, replaced: replaced)
        }
        if !isWhole { job.segment.noteDamage() }
        state.withLock { state in
            state.hidden += hidden
            if !isWhole { state.damagedUnits.insert(job.unit.number) }
        }
    }

    private func apply(newest: UInt32?, replaced: [TailRecord]) -> Outcome {
        let (hidden, damagedUnits) = state.withLock { ($0.hidden, $0.damagedUnits) }
        var outcome = Outcome(damagedUnits: damagedUnits, echoes: replaced)
        for hidden in hidden.sorted(by: { $0.unit < $1.unit }) {
            switch hidden.record {
            case .block: break
            case .tombstone(let identity, let bound): _ = index.remove(identity) { $0.location < bound }
            case .clear(let prefix, let bound):
                outcome.clears[prefix] = max(outcome.clears[prefix] ?? bound, bound)
            case .attributes(let identity, let location, let attributes):
                _ = index.update(identity) { entry in
                    if entry.location == location { entry.attributes = attributes }
                }
                continue
            }
            if hidden.unit == newest { outcome.echoes.append(hidden.record) }
        }
        return outcome
    }

    /// Takes one record in; `false` when it is damaged.
    private func take(
        _ bytes: RawSpan,
        unit: UInt32,
        hidden: inout [Hidden],
        replaced: (IndexEntry) -> Void
    ) -> Bool {
        if let (number, header) = TailRecord.block(decoding: bytes) {
            let entry = IndexEntry(header: header, location: BlockLocation(unit: unit, number: number))
            if let old = index.insertIfNewer(entry) { replaced(old) }
            return true
        }
        guard let record = try? TailRecord(decoding: bytes) else { return false }
        hidden.append(Hidden(unit: unit, record: record))
        return true
    }

    // MARK: Reading a tail

    /// Reads a unit's records; skips damaged stretches.
    ///
    /// Whether all of it could be read.
    private func read(_ job: Job, take: (RawSpan) -> Bool) -> Bool {
        var next: UInt32 = 0
        var step: UInt32 = 32
        var isWhole = true
        while !readRun(job, from: &next, take: take) {
            isWhole = false
            // Later records of the tail may still be readable.
            guard let last = job.unit.lastRecordNumber, next < last, last - next > step else { break }
            next += step
            step *= 2
        }
        if let last = job.unit.lastRecordNumber, next != last &+ 1 { isWhole = false }
        return isWhole
    }

    /// Reads records from number `next` on, which it moves behind the last one read.
    ///
    /// Whether the end was reached.
    private func readRun(_ job: Job, from next: inout UInt32, take: (RawSpan) -> Bool) -> Bool {
        let unit = job.unit.number
        guard let family = job.segment.family else { return false }
        var iterator = database.iterator(
            over: family,
            upperBound: RecordKey(unit: unit, kind: .tail, number: .max, piece: .max),
            readAheadByteCount: Self.readAheadByteCount
        )
        iterator.seek(RecordKey(unit: unit, kind: .tail, number: next))
        while let key = iterator.key {
            guard key.unit == unit, key.kind == .tail else { return false }
            next = key.number &+ 1
            let isGood = unsafe iterator.withValue { bytes in take(unsafe bytes.bytes) }
            if !isGood { return false }
            iterator.next()
        }
        do throws(CacheError) {
            try iterator.check()
            return true
        } catch {
            return false
        }
    }
}

extension BlockIndex {
    /// Removes what a start must not show: blocks below their namespace's clear, blocks whose time is over,
    /// and blocks of units before `distrustedBefore`, which a lost unit may have hidden.
    ///
    /// Gives how many those last ones were.
    func removeHidden(
        clears: [KeyPrefix: BlockLocation],
        distrustedBefore: UInt32,
        at unixMilliseconds: UInt64
    ) -> Int {
        var distrustedCount = 0
        removeAll { entry in
            if entry.isExpired(at: unixMilliseconds) { return true }
            if !clears.isEmpty, let bound = clears[entry.identity.prefix], entry.location < bound {
                return true
            }
            guard entry.location.unit < distrustedBefore else { return false }
            distrustedCount += 1
            return true
        } removed: { _ in
        }
        return distrustedCount
    }
}
