package import Blocks
import PayloadCoding
import Synchronization

extension DiskTier {
    /// Reads, decodes and verifies a block into `destination`, which has exactly its payload's length.
    ///
    /// Blocks.
    ///
    /// - Returns: the block's header with its attributes as they are now; `nil` when it is absent, expired, stored
    ///   under another key, of another length, or damaged. A damaged block is counted and taken out.
    package func read(
        _ identity: BlockIdentity,
        key: RawSpan,
        into destination: UnsafeMutableRawBufferPointer
    ) throws(CacheError) -> BlockHeader? {
        var entry: IndexEntry?
        while let found = liveEntry(identity), Int(found.payloadByteCount) == destination.count {
            if let header = try unsafe read(found, key: key, into: destination) { return header }
            // Written again elsewhere meanwhile: carried out of a segment that went.
            guard entry?.location != found.location else { return nil }
            entry = found
        }
        return nil
    }

    private func read(
        _ entry: IndexEntry,
        key: RawSpan,
        into destination: UnsafeMutableRawBufferPointer
    ) throws(CacheError) -> BlockHeader? {
        // The segment's files go only when its last reader has left.
        guard let segment = segments.segment(ofUnit: entry.location.unit) else { return nil }
        let outcome = try withFamily(of: segment) { database, family in
            let scratch = scratches.take()
            defer { scratches.give(scratch) }
            return unsafe StoredBlock.read(
                entry,
                key: key,
                from: family,
                in: database,
                into: destination,
                scratch: scratch
            )
        }
        switch outcome {
        case .none, .otherKey: return nil
        case .damaged:
            quarantine(entry, in: segment)
            return nil
        case .whole(var header):
            header.attributes = entry.attributes
            counters.reads.count()
            counters.byteCountRead.count(destination.count)
            return header
        }
    }

    /// Visits about `count` blocks after `cursor` (0 at the start); gives the next cursor, 0 at the end.
    ///
    /// Blocks.
    ///
    /// Blocks that are there from the first call to the last are visited at least once; a block that is
    /// written again meanwhile may come twice.
    package func scan(
        prefix: KeyPrefix?,
        cursor: UInt64,
        count: Int,
        visit: (BlockIdentity, [UInt8], BlockSummary) -> Void
    ) throws(CacheError) -> UInt64 {
        let next = try withDatabase { database in
            var scan = TailScan(prefix: prefix, cursor: cursor, count: count)
            for segment in segments.all {
                guard let family = segment.family else { continue }
                for unit in segment.units where unit.number >= scan.unit {
                    let isDone = scan.visit(unit, of: family, in: database) { number, header, key in
                        guard let entry = liveEntry(header.identity),
                            entry.location == BlockLocation(unit: unit.number, number: number)
                        else { return false }
                        visit(header.identity, key, entry.summary)
                        return true
                    }
                    if isDone { return scan.cursor }
                }
            }
            return 0
        }
        return next ?? 0
    }

    /// Takes a damaged block out, for good.
    func quarantine(_ entry: IndexEntry, in segment: Segment) {
        counters.blocksDamaged.count()
        segment.noteDamage()
        let removed = writeState.withLock { state in
            let removed = index.remove(entry.identity, at: entry.location)
            if removed != nil { state.hide(entry.identity, upTo: entry.location) }
            return removed
        }
        if let removed { onRemoval(removed.identity, removed.summary, .corrupt) }
    }
}
