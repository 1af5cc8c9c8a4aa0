import Blocks
import Synchronization

extension DiskTier {
    /// How long a reopening waits for those who use the database, seconds.
    private static let idleSecondsMax = 5

    /// Lends the database to a change of what it has: a family or a table more or less.
    ///
    /// When that fails, no further one is tried before the database was opened anew: RocksDB does not say whether the
    /// change is in its manifest, and refuses some later changes, others it only seems to take.
    func changeDatabase<Result>(
        _ body: (RocksDatabase) throws(CacheError) -> Result
    ) throws(CacheError) -> Result {
        guard !needsReopening.load(ordering: .acquiring) else {
            throw CacheError(.storageFailure, "the database waits to be opened anew")
        }
        let result: Result?
        do throws(CacheError) {
            result = try withDatabase(body)
        } catch {
            needsReopening.store(true, ordering: .releasing)
            throw error
        }
        guard let result else { throw CacheError(.shuttingDown, "the disk tier is closed") }
        return result
    }

    /// Closes the database and opens it anew, if a change of it failed and the disk takes writes again.
    ///
    /// Until the disk does, reading goes on as before. Meanwhile readers wait, some tens of milliseconds; the index
    /// stays. Only for the thread that writes.
    func reopenAfterFailure() throws(CacheError) {
        guard needsReopening.load(ordering: .acquiring) else { return }
        try directory.probeWriting()
        let start = clock.monotonicNanoseconds()
        var reopening = DiskReopening()
        try replaceDatabase { () throws(CacheError) in
            for segment in segments.all { segment.detach() }
            guard graveyard.waitUntilIdle(seconds: Self.idleSecondsMax) else {
                throw CacheError(.overloaded, "a dropped segment is still being unlinked")
            }
        } opening: { () throws(CacheError) in
            let opened = try DiskTierOpening.openDatabase(
                in: directory,
                configuration: configuration,
                graveyard: graveyard,
                unixSeconds: clock.unixMilliseconds() / 1_000
            )
            reopening.setAsidePath = opened.setAsidePath
            reopening.setAsideReason = opened.setAsideReason
            reconcile(DiskTierOpening.segments(of: opened.families, in: opened.database), in: opened.database)
            return opened.database
        }
        needsReopening.store(false, ordering: .releasing)
        counters.reopenings.count()
        setAsideByteCount.store(directory.setAsideByteCount, ordering: .relaxed)
        reopening.seconds = Double(clock.monotonicNanoseconds() - start) / 1e9
        configuration.onReopening(reopening)
    }

    /// Brings the segments and the index in line with what the database has: a change that failed may have happened
    /// all the same, and a database that was set aside has nothing left.
    private func reconcile(_ found: [Segment], in database: RocksDatabase) {
        var known: [UInt32: Segment] = [:]
        for segment in segments.all { known[segment.number] = segment }
        var lost: Set<UInt32> = []
        for segment in found {
            guard let family = segment.family else { continue }
            // A family that was made is the newest, and empty: the next unit goes into it.
            guard let there = known.removeValue(forKey: segment.number) else {
                segments.append(segment)
                continue
            }
            let before = Set(there.units.map(\.number))
            there.attach(family, units: segment.units)
            lost.formUnion(before.subtracting(segment.units.map(\.number)))
            let unknown = segment.units.filter { !before.contains($0.number) }
            if !unknown.isEmpty { there.disown() }
            for unit in unknown { hideBlocks(of: unit, family, in: database) }
        }
        for (_, segment) in known {
            lost.formUnion(segment.units.map(\.number))
            segments.remove(segment)
        }
        guard !lost.isEmpty else { return }
        // What could not be written goes with the next unit.
        try? mark.update { $0.remove(lost) }
        forget { lost.contains($0) }
    }

    /// Has the next unit hide the blocks of one that was given up and is there all the same.
    ///
    /// A block that has an older version is left out, which a tombstone would hide too; it goes when its segment is
    /// written again. So does what cannot be read here.
    private func hideBlocks(of unit: Segment.Unit, _ family: RocksFamily, in database: RocksDatabase) {
        var iterator = database.iterator(
            over: family,
            upperBound: RecordKey(unit: unit.number, kind: .tail, number: .max, piece: .max)
        )
        iterator.seek(RecordKey(unit: unit.number, kind: .tail, number: 0))
        while iterator.key != nil {
            let record = unsafe iterator.withValue { bytes in try? TailRecord(decoding: unsafe bytes.bytes) }
            if case .block(let number, let header, _)? = record {
                writeState.withLock { state in
                    guard index.entry(header.identity) == nil else { return }
                    state.hide(header.identity, upTo: BlockLocation(unit: unit.number, number: number))
                }
            }
            iterator.next()
        }
    }
}
