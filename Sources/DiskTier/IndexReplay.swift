import Blocks

/// Rebuilds the index from the units' tails, in the order of their writing.
struct IndexReplay {
    let index: BlockIndex
    /// Units whose tails could not be read whole.
    private(set) var damagedUnits: Set<UInt32> = []
    /// What the newest unit hid, to be said once more.
    private(set) var echoes: [TailRecord] = []
    private var clears: [KeyPrefix: BlockLocation] = [:]
    private static let readAheadByteCount = 1 << 20

    init(index: BlockIndex) { self.index = index }

    /// Takes in one unit. Units must come in ascending order. Whether all of it could be read.
    mutating func replay(_ unit: Segment.Unit, of family: RocksFamily, in database: RocksDatabase) -> Bool {
        echoes = []
        var next: UInt32 = 0
        var step: UInt32 = 32
        var isWhole = true
        while true {
            let reached = readRun(unit.number, from: &next, of: family, in: database)
            if reached { break }
            isWhole = false
            // A damaged stretch: later records of the tail may still be readable.
            guard let last = unit.lastRecordNumber, next < last, last - next > step else { break }
            next += step
            step *= 2
        }
        if let last = unit.lastRecordNumber, next != last &+ 1 { isWhole = false }
        if !isWhole { damagedUnits.insert(unit.number) }
        return isWhole
    }

    /// Applies what concerns the index as a whole: clears, blocks whose time is over, and blocks of units before
    /// `distrustedBefore`, which a lost unit may have hidden. Gives how many those were.
    func finish(at unixMilliseconds: UInt64, distrustedBefore: UInt32) -> Int {
        var distrustedCount = 0
        index.removeAll { entry in
            if entry.isExpired(at: unixMilliseconds) { return true }
            if entry.location.unit < distrustedBefore {
                distrustedCount += 1
                return true
            }
            guard !clears.isEmpty, let bound = clears[entry.identity.prefix] else { return false }
            return entry.location < bound
        } removed: { _ in
        }
        return distrustedCount
    }

    /// Reads records from number `next` on, which it moves behind the last one read. Whether the end was reached.
    private mutating func readRun(
        _ unit: UInt32,
        from next: inout UInt32,
        of family: RocksFamily,
        in database: RocksDatabase
    ) -> Bool {
        var iterator = database.iterator(
            over: family,
            upperBound: RecordKey(unit: unit, kind: .tail, number: .max, piece: .max),
            readAheadByteCount: Self.readAheadByteCount
        )
        iterator.seek(RecordKey(unit: unit, kind: .tail, number: next))
        while let key = iterator.key {
            guard key.unit == unit, key.kind == .tail else { return false }
            next = key.number &+ 1
            let isGood = unsafe iterator.withValue { bytes in unsafe apply(bytes.bytes, unit: unit) }
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

    private mutating func apply(_ bytes: RawSpan, unit: UInt32) -> Bool {
        if let (number, header) = TailRecord.block(decoding: bytes) {
            let entry = IndexEntry(header: header, location: BlockLocation(unit: unit, number: number))
            if let old = index.insert(entry) {
                echoes.append(
                    .tombstone(identity: old.identity, bound: BlockLocation(unit: unit, number: 0))
                )
            }
            return true
        }
        do throws(CacheError) {
            apply(try TailRecord(decoding: bytes))
            return true
        } catch {
            return false
        }
    }

    private mutating func apply(_ record: TailRecord) {
        switch record {
        case .block: break
        case .tombstone(let identity, let bound):
            _ = index.remove(identity) { $0.location < bound }
            echoes.append(record)
        case .clear(let prefix, let bound):
            clears[prefix] = max(clears[prefix] ?? bound, bound)
            echoes.append(record)
        case .attributes(let identity, let location, let attributes):
            _ = index.update(identity) { entry in
                if entry.location == location { entry.attributes = attributes }
            }
        }
    }
}
