import Blocks
import Synchronization

extension DiskTier {
    private static let releaseSecondsMax = 30

    /// Bytes that count against the budget, without what is being unlinked and the table being written.
    var heldByteCount: Int {
        segments.byteCount + configuration.reservedByteCount + setAsideByteCount.load(ordering: .relaxed)
    }

    /// Drops segments until a table of `room` bytes fits the budget, and waits until their space is back.
    ///
    /// Half a segment's worth stays free beyond that: carrying blocks forward needs space before the drop
    /// gives it. Where more must be carried, the budget's tolerance of a 20th serves.
    func makeRoom(_ room: Int) throws(CacheError) {
        // Each segment gets its turn twice at most: when pinned blocks fill all, nothing more is to be had.
        var turns = 2 * segments.all.count
        if let disowned = segments.disowned { try reclaim(disowned, carriesAll: true) }
        if segments.unitCount > configuration.unitCountMax, let scattered = segments.mostScattered {
            try reclaim(scattered, carriesAll: true)
        }
        while isShort(of: room + configuration.segmentByteCount / 2) {
            if setAsideByteCount.load(ordering: .relaxed) > 0 {
                directory.removeSetAside()
                setAsideByteCount.store(directory.setAsideByteCount, ordering: .relaxed)
                guard setAsideByteCount.load(ordering: .relaxed) > 0 else { continue }
            }
            guard turns > 0, let victim = segments.nextVictim else { break }
            turns -= 1
            let isCountAlone =
                !exceedsBudget(by: room + configuration.segmentByteCount / 2) && exceedsBlockCount
            try reclaim(victim)
            if isCountAlone { counters.segmentsDroppedByCount.count() }
        }
        let free = configuration.byteCountMax - heldByteCount - room
        guard free >= 0, index.count < configuration.blockCountMax else {
            throw CacheError(.limitExceeded, "pinned and leased blocks fill the disk tier")
        }
        try waitForSpace(of: 0, in: free)
    }

    /// Waits until what dropped segments still hold leaves `byteCount` of `free` bytes.
    func waitForSpace(of byteCount: Int, in free: Int) throws(CacheError) {
        let most = max(0, free - byteCount)
        guard graveyard.waitUntilReleasing(atMost: most, seconds: Self.releaseSecondsMax) else {
            throw CacheError(.overloaded, "a dropped segment is still being read")
        }
    }

    /// Drops segments until the budget is kept, at the start: it may have been made smaller.
    ///
    /// Where that fails, on a full or failing disk, the next unit tries again; what is there can be read
    /// meanwhile.
    func shrinkToBudget() {
        if isShort(of: 0) { try? makeRoom(0) }
    }

    private func isShort(of byteCount: Int) -> Bool {
        exceedsBudget(by: byteCount) || exceedsBlockCount || segments.all.contains { $0.isCondemned }
    }

    private func exceedsBudget(by byteCount: Int) -> Bool {
        heldByteCount + byteCount > configuration.byteCountMax
    }

    private var exceedsBlockCount: Bool { index.count + unitBlockCountMax > configuration.blockCountMax }

    /// Drops a segment; writes the blocks again that must not or should not go with it, or all of them.
    private func reclaim(_ segment: Segment, carriesAll: Bool = false) throws(CacheError) {
        segment.seal()
        let units = segment.units.map(\.number)
        // What its tails hide is in older segments; when there are such, it must be said again before it goes.
        let isOldest = segments.all.first === segment
        if !isOldest { adoptRecords(of: segment) }
        if let first = units.first, let last = units.last {
            try carry(from: segment, units: first...last, carriesAll: carriesAll, isOldest: isOldest)
        }

        try mark.update { $0.remove(units) }
        try changeDatabase { database throws(CacheError) in
            guard let family = segment.family else { return }
            try database.drop(family)
            family.announceRelease(byteCount: segment.byteCount)
        }
        segments.remove(segment)
        // Who reads from it keeps the family until then.
        segment.detach()
        counters.segmentsDropped.count()
        if let first = units.first, let last = units.last { forget { (first...last).contains($0) } }
    }

    /// Takes all blocks of some units out of the index.
    func forget(_ isGone: (_ unit: UInt32) -> Bool) {
        let now = clock.unixMilliseconds()
        index.removeAll {
            isGone($0.location.unit)
        } removed: { entry in
            onRemoval(entry.identity, entry.summary, entry.isExpired(at: now) ? .expired : .evicted)
        }
    }

    /// Has the next unit repeat what the tails of a segment hide.
    private func adoptRecords(of segment: Segment) {
        let oldestUnit = segments.all.first?.firstUnit ?? 0
        _ = try? withFamily(of: segment) { database, family in
            for unit in segment.units {
                var iterator = database.iterator(
                    over: family,
                    upperBound: RecordKey(unit: unit.number, kind: .tail, number: .max, piece: .max)
                )
                iterator.seek(RecordKey(unit: unit.number, kind: .tail, number: 0))
                while iterator.key != nil {
                    let record = unsafe iterator.withValue { bytes in
                        try? TailRecord(decoding: unsafe bytes.bytes)
                    }
                    if let record { writeState.withLock { $0.adopt(record, oldestUnit: oldestUnit) } }
                    iterator.next()
                }
            }
        }
    }
}
