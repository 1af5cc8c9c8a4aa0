package import Blocks
import Synchronization

extension DiskTier {
    /// Blocks put into the index under one lock when a unit becomes visible.
    private static let publishedAtOnceCount = 256

    /// Starts a unit; one at a time.
    ///
    /// Blocks while room is made, when there is none.
    package func beginUnit() throws(CacheError) -> UnitWriter {
        let (isMine, _) = isWriting.compareExchange(
            expected: false,
            desired: true,
            ordering: .acquiringAndReleasing
        )
        guard isMine else { throw CacheError(.overloaded, "a unit is being written already") }
        return UnitWriter(self)
    }

    /// Most blocks of one unit.
    var unitBlockCountMax: Int { min(max(configuration.blockCountMax / 16, 1), 1 << 20) }

    /// Makes room for a table and opens it.
    func openTable(room: Int) throws(CacheError) -> UnitTable {
        try reopenAfterFailure()
        let whole = room + UnitTable.overheadByteCount
        try makeRoom(whole)
        return try openTableInRoom(whole)
    }

    /// Opens a table for which there is room.
    func openTableInRoom(_ room: Int) throws(CacheError) -> UnitTable {
        let number = writeState.withLock { $0.open() }
        do throws(CacheError) {
            let path = "\(directory.blocksPath)/unit-\(number).tmp"
            return try UnitTable(number: number, room: room, path: path, options: options)
        } catch {
            abandonTable()
            throw error
        }
    }

    /// Writes the tail, makes the table durable and its blocks visible.
    ///
    /// The table is given up when this throws.
    func commit(_ table: UnitTable, isCarried: Bool) throws(CacheError) {
        let snapshot = writeState.withLock { $0.snapshot() }
        guard let finished = try table.finish(snapshot) else {
            // Everything in it was deleted meanwhile.
            abandonTable()
            return
        }
        let segment = try segmentForUnit(byteCount: finished.byteCount)
        try ingest(table, into: segment)
        let unit = Segment.Unit(
            number: table.number,
            byteCount: finished.byteCount,
            lastRecordNumber: finished.lastRecord
        )
        segment.add(unit, blockCount: table.blockCount)
        let hides = publish(snapshot, isCarried: isCarried)
        count(table, byteCount: finished.byteCount, isCarried: isCarried)
        // The unit is durable whether or not this succeeds: what is missing here is written with the next unit.
        try? mark.update { contents in
            contents.add(table.number, hides: hides)
            contents.nextSegment = max(contents.nextSegment, segment.number + 1)
        }
    }

    /// Forgets the table being written; its file goes with the table.
    func abandonTable() {
        writeState.withLock { state in
            state.abandon { index.entry($0)?.location }
        }
    }

    private func ingest(_ table: UnitTable, into segment: Segment) throws(CacheError) {
        do throws(CacheError) {
            try changeDatabase { database throws(CacheError) in
                guard let family = segment.family else {
                    throw CacheError(.storageFailure, "the segment is gone")
                }
                try database.ingest(path: table.path, into: family)
            }
        } catch {
            // The fault may be the segment's: the next try gets a fresh one, unless this one is fresh.
            if segment.firstUnit != nil { segment.seal() }
            throw error
        }
    }

    private func segmentForUnit(byteCount: Int) throws(CacheError) -> Segment {
        if let newest = segments.newest,
            newest.hasRoom(
                byteCount: byteCount,
                byteCountMax: configuration.segmentByteCount,
                blockCountMax: max(1, configuration.blockCountMax / 8)
            )
        {
            return newest
        }
        let number = max(mark.contents.nextSegment, (segments.newest?.number ?? 0) + 1)
        let family = try changeDatabase { database throws(CacheError) in
            try database.createFamily(Segment.name(number), graveyard: graveyard)
        }
        segments.newest?.seal()
        let segment = Segment(number: number, family: family)
        segments.append(segment)
        return segment
    }

    /// Puts the blocks of the durable table into the index, a few at a time, so that nobody waits long for
    /// the lock.
    ///
    /// Whether the unit hides something older.
    private func publish(_ snapshot: WriteState.Snapshot, isCarried: Bool) -> Bool {
        var replaced: [IndexEntry] = []
        var isMore = true
        while isMore {
            isMore = writeState.withLock { state in
                for entry in state.takeOpenBlocks(Self.publishedAtOnceCount) {
                    if let old = index.insert(entry) { replaced.append(old) }
                }
                return !state.openBlocks.isEmpty
            }
        }
        if isCarried { replaced = [] }
        writeState.withLock { $0.close(snapshot, replaced: replaced.map(\.identity)) }
        for entry in replaced { onRemoval(entry.identity, entry.summary, .replaced) }
        return snapshot.hides || !replaced.isEmpty
    }

    private func count(_ table: UnitTable, byteCount: Int, isCarried: Bool) {
        counters.unitsWritten.count()
        counters.tableByteCountWritten.count(byteCount)
        if isCarried {
            counters.blocksCarried.count(table.blockCount)
            counters.byteCountCarried.count(table.storedByteCount)
        } else {
            counters.blocksWritten.count(table.blockCount)
            counters.payloadByteCountWritten.count(table.payloadByteCount)
            counters.storedByteCountWritten.count(table.storedByteCount)
        }
    }
}
