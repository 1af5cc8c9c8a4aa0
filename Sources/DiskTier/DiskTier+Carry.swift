import Blocks
import Synchronization

extension DiskTier {
    /// Writes the pinned, leased and hot blocks of a segment into a unit of their own; hot ones up to an
    /// eighth of it.
    ///
    /// Or all its blocks, when `carriesAll` says so. Unless the segment is the oldest, what it hides is said
    /// again, and is durable when this returns: a block left behind goes on hiding its older versions.
    func carry(
        from segment: Segment,
        units: ClosedRange<UInt32>,
        carriesAll: Bool,
        isOldest: Bool
    ) throws(CacheError) {
        let wanted = choose(
            units,
            hotByteCountMax: segment.byteCount / 8,
            carriesAll: carriesAll,
            isOldest: isOldest
        )
        // The budget's tolerance is for this: what does not fit even so goes, hot blocks before others.
        let free = configuration.byteCountMax / 20 * 21 - heldByteCount - UnitTable.overheadByteCount
        var room = 0
        let carried = wanted.prefix { entry in
            room += UnitTable.cost(ofStored: entry)
            return room <= free
        }
        room = carried.reduce(0) { $0 + UnitTable.cost(ofStored: $1) }
        let isNeeded =
            !isOldest
            && writeState.withLock { state in
                for entry in wanted.dropFirst(carried.count) {
                    state.hide(entry.identity, upTo: entry.location)
                }
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

    /// The live blocks of some units that are to be carried, most needed first; evicts the others.
    ///
    /// A block that is leased while this goes on is either carried, or was evicted before the lease was asked
    /// for.
    private func choose(
        _ units: ClosedRange<UInt32>,
        hotByteCountMax: Int,
        carriesAll: Bool,
        isOldest: Bool
    ) -> [IndexEntry] {
        let now = clock.unixMilliseconds()
        var held: [IndexEntry] = []
        var hot: [IndexEntry] = []
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
            } else if let evicted = index.removeUnlessHeld(
                entry.identity,
                at: entry.location,
                unixMilliseconds: now
            ) {
                if !isOldest { writeState.withLock { $0.hide(evicted.identity, upTo: evicted.location) } }
                onRemoval(evicted.identity, evicted.summary, .evicted)
            } else {
                // Leased or pinned a moment ago, or gone, which copying will see.
                held.append(entry)
            }
        }
        return held + hot
    }

    /// Copies a block as it is stored, with its attributes as they are now.
    private func copy(_ entry: IndexEntry, from segment: Segment, to table: UnitTable) throws(CacheError) {
        var header: BlockHeader?
        var location: BlockLocation?
        var failure: CacheError?
        var pieceNumber = 0
        var checksum = PayloadChecksumStream()
        let outcome = try withFamily(of: segment) { database, family in
            unsafe StoredBlock.forEachPiece(
                of: entry,
                key: nil,
                from: family,
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
        // Not there any more: deleted or cleared since it was chosen.
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
            guard let now = index.entry(entry.identity), now.location == entry.location,
                !state.isBeingCleared(now)
            else { return nil }
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
