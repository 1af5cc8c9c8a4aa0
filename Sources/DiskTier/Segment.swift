import Blocks
import Synchronization

/// A stretch of the log that is dropped as a whole: one column family with the units ingested into it.
final class Segment: Sendable {
    /// Damaged blocks after which a segment is given up.
    static let damagedBlockCountMax = 16
    /// What a table costs at least when a segment is filled: tiny units must not make a segment of ten
    /// thousand tables.
    static let tableCostMin = 64 << 10

    /// Mean bytes of a table below which a segment of many counts as scattered.
    static let scatteredByteCountMax = 1 << 20

    /// A table of the segment.
    struct Unit {
        let number: UInt32
        let byteCount: Int
        /// Number of the last tail record; `nil` when it is not known.
        let lastRecordNumber: UInt32?
    }

    private struct Contents {
        var family: RocksFamily?
        var units: [Unit] = []
        var byteCount = 0
        var cost = 0
        var blockCount = 0
        var damagedBlockCount = 0
        var isSealed = false
        var isDisowned = false
    }

    let number: UInt32
    private let contents: Mutex<Contents>

    /// Takes over a family with the units that the manifest says are there, ascending.
    init(number: UInt32, family: RocksFamily, units: [Unit] = []) {
        self.number = number
        contents = Mutex(Contents())
        attach(family, units: units)
    }

    /// The family, to be asked for while the database is lent.
    ///
    /// `nil` when the segment was dropped or its database closed.
    var family: RocksFamily? { contents.withLock { $0.family } }

    /// Gives the family up: its segment was dropped, or its database is to be closed.
    func detach() { contents.withLock { $0.family = nil } }

    /// Takes over a family with the units that the manifest says are there, ascending.
    func attach(_ family: RocksFamily, units: [Unit]) {
        contents.withLock { contents in
            contents.family = family
            contents.units = units
            contents.byteCount = units.reduce(0) { $0 + $1.byteCount }
            contents.cost = units.reduce(0) { $0 + max($1.byteCount, Self.tableCostMin) }
        }
    }

    /// The family's name in the database.
    static func name(_ number: UInt32) -> String {
        let digits = String(number)
        return "segment-" + String(repeating: "0", count: max(0, 10 - digits.count)) + digits
    }

    /// The number in a family's name; `nil` when the family is not a segment.
    static func number(_ name: String) -> UInt32? {
        name.hasPrefix("segment-") ? UInt32(name.dropFirst("segment-".count)) : nil
    }

    var units: [Unit] { contents.withLock { $0.units } }
    var byteCount: Int { contents.withLock { $0.byteCount } }
    var firstUnit: UInt32? { contents.withLock { $0.units.first?.number } }
    var isSealed: Bool { contents.withLock { $0.isSealed } }

    /// Whether so many of its blocks are damaged that the rest should be saved and the segment dropped.
    var isCondemned: Bool { contents.withLock { $0.damagedBlockCount > Self.damagedBlockCountMax } }

    /// Whether a unit of `byteCount` may still go in; half of it may lie beyond the segment's size.
    func hasRoom(byteCount: Int, byteCountMax: Int, blockCountMax: Int) -> Bool {
        contents.withLock { contents in
            !contents.isSealed && contents.damagedBlockCount == 0 && contents.blockCount < blockCountMax
                && (contents.units.isEmpty
                    || contents.cost + max(byteCount, Self.tableCostMin) / 2 <= byteCountMax)
        }
    }

    /// Takes note of an ingested unit.
    func add(_ unit: Unit, blockCount: Int) {
        contents.withLock { contents in
            contents.units.append(unit)
            contents.byteCount += unit.byteCount
            contents.cost += max(unit.byteCount, Self.tableCostMin)
            contents.blockCount += blockCount
        }
    }

    /// Whether its tables are so many and so small that writing its blocks again as one is worth it.
    var isScattered: Bool {
        contents.withLock {
            $0.units.count >= 16 && $0.byteCount / $0.units.count < Self.scatteredByteCountMax
        }
    }

    /// Lets no further unit in.
    func seal() { contents.withLock { $0.isSealed = true } }

    /// Whether it has a unit that was given up: its other blocks are to be written again and the segment dropped.
    var isDisowned: Bool { contents.withLock { $0.isDisowned } }

    /// Takes note of a unit that was given up and is there all the same.
    func disown() {
        contents.withLock { contents in
            contents.isDisowned = true
            contents.isSealed = true
        }
    }

    /// Counts a block found damaged.
    func noteDamage() { contents.withLock { $0.damagedBlockCount += 1 } }
}
