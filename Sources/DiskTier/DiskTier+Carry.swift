import Blocks
import Synchronization

extension DiskTier {
    /// Writes the pinned, leased and hot blocks of a segment into a unit of their own; hot ones up to an eighth of it.
    ///
    /// - Parameters:
    ///   - carriesAll: whether every block is to be written again.
    ///   - isOldest: whether no segment is older; else what the segment hides must be said again, and be durable when
    ///     this returns: a block that is left behind goes on hiding its older versions.
    func carry(
        from segment: Segment,
        units: ClosedRange<UInt32>,
        carriesAll: Bool,
        isOldest: Bool
    ) throws(CacheError) {
        var (carried, left) = choose(
            units,
            hotByteCountMax: segment.byteCount / 8,
            carriesAll: carriesAll
        )
        // The budget's tolerance is for this: what does not fit even so goes, hot blocks before others.
        let free = configuration.byteCountMax / 20 * 21 - heldByteCount - UnitTable.overheadByteCount
        var room = 0
        let fitting = carried.prefix { entry in
            room += UnitTable.cost(ofStored: entry)
            return room <= free
        }
        left += carried.dropFirst(fitting.count)
        carried = Array(fitting)
        let isNeeded =
            !isOldest
            && writeState.withLock { state in
                for entry in left { state.hide(entry.identity, upTo: entry.location) }
                return state.pendingRecordCount > 0
            }
        guard isNeeded || !carried.isEmpty else { return }
        try waitForSpace(of: room, in: free)

        let table = try openTableInRoom(room + UnitTable.overheadByteCount)
        do throws(CacheError) {
            for entry in carried { try copy(entry, from: segment, to: table) }
            try commit(table, isCarried: true)
        } catch {
            abandonTable()
            throw error
        }
    }

    /// The live blocks of some units: those to carry, most needed first, and the others.
    private func choose(
        _ units: ClosedRange<UInt32>,
        hotByteCountMax: Int,
        carriesAll: Bool
    ) -> (carried: [IndexEntry], left: [IndexEntry]) {
        let now = clock.unixMilliseconds()
        var held: [IndexEntry] = []
        var hot: [IndexEntry] = []
        var left: [IndexEntry] = []
        var hotByteCount = 0
        index.forEach { entry, isHeld in
            guard units.contains(entry.location.unit), !entry.isExpired(at: now) else { return }
            if isHeld || entry.isPinned(at: now) {
                held.append(entry)
            } else if carriesAll
                || hotByteCount + Int(entry.storedByteCount) <= hotByteCountMax
                    && configuration.shouldCarry(entry.identity)
            {
                hotByteCount += Int(entry.storedByteCount)
                hot.append(entry)
            } else {
                left.append(entry)
            }
        }
        return (held + hot, left)
    }

    /// Copies a block as it is stored, with its attributes as they are now.
    private func copy(_ entry: IndexEntry, from segment: Segment, to table: UnitTable) throws(CacheError) {
        var header: BlockHeader?
        var location: BlockLocation?
        var failure: CacheError?
        var pieceNumber = 0
        var checksum = PayloadChecksumStream()
        let outcome = try withDatabase { database in
            unsafe StoredBlock.forEachPiece(
                of: entry,
                key: nil,
                from: segment.family,
                in: database
            ) { found, key in
                header = found
                (location, failure) = begin(entry, header: found, key: key, in: table)
            } piece: { _, bytes in
                guard let location, failure == nil else { return false }
                unsafe checksum.update(bytes)
                pieceNumber += 1
                do throws(CacheError) {
                    try unsafe table.append(location.number, piece: pieceNumber, bytes)
                    return true
                } catch {
                    failure = error
                    return false
                }
            }
        }
        if let failure { throw failure }
        // Not there any more: deleted since it was chosen.
        guard let location else {
            if case .damaged? = outcome { quarantine(entry, in: segment) }
            return
        }
        guard case .whole? = outcome, checksum.value() == header?.storedChecksum else {
            writeState.withLock { $0.unregister(entry.identity, at: location) }
            quarantine(entry, in: segment)
            return
        }
    }

    private func begin(
        _ entry: IndexEntry,
        header: BlockHeader,
        key: RawSpan,
        in table: UnitTable
    ) -> (BlockLocation?, CacheError?) {
        var header = header
        let location: BlockLocation? = writeState.withLock { state in
            guard let now = index.entry(entry.identity), now.location == entry.location else { return nil }
            header.attributes = now.attributes
            return state.register(header)
        }
        guard let location else { return (nil, nil) }
        do throws(CacheError) {
            try table.begin(location.number, header: header, key: key)
            return (location, nil)
        } catch {
            return (location, error)
        }
    }
}
