import Blocks

/// A walk over the units' tails that can be left and taken up again by a cursor.
struct TailScan {
    /// Where to go on: unit and tail record; 0 is the start.
    private(set) var cursor: UInt64
    private let prefix: KeyPrefix?
    private var wantedCount: Int
    // Records of other namespaces cost time too.
    private var lookedAtCount: Int

    init(prefix: KeyPrefix?, cursor: UInt64, count: Int) {
        self.prefix = prefix
        self.cursor = cursor
        wantedCount = max(1, count)
        lookedAtCount =
            wantedCount.multipliedReportingOverflow(by: 16).partialValue.magnitude > 1_024
            ? max(1_024, min(wantedCount, 1 << 40) * 16) : 1_024
    }

    /// The unit to go on with.
    var unit: UInt32 { UInt32(truncatingIfNeeded: cursor >> 32) }

    /// Visits the blocks of one unit; whether the walk should be left. `take` says whether a block counted.
    mutating func visit(
        _ unit: Segment.Unit,
        of family: RocksFamily,
        in database: RocksDatabase,
        take: (UInt32, BlockHeader, [UInt8]) -> Bool
    ) -> Bool {
        let first = unit.number == self.unit ? UInt32(truncatingIfNeeded: cursor) : 0
        var iterator = database.iterator(
            over: family,
            upperBound: RecordKey(unit: unit.number, kind: .tail, number: .max, piece: .max)
        )
        iterator.seek(RecordKey(unit: unit.number, kind: .tail, number: first))
        while let key = iterator.key {
            if wantedCount == 0 || lookedAtCount == 0 {
                cursor = UInt64(unit.number) << 32 | UInt64(key.number)
                return true
            }
            lookedAtCount -= 1
            let record = unsafe iterator.withValue { bytes in try? TailRecord(decoding: unsafe bytes.bytes) }
            if case .block(let number, let header, let key)? = record,
                prefix == nil || header.identity.prefix == prefix,
                take(number, header, key)
            {
                wantedCount -= 1
            }
            iterator.next()
        }
        // The end of the unit, or damage: either way the next unit is next.
        return false
    }
}
