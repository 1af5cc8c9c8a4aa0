/// Where a block lies: the number of its unit, and its number in it.
///
/// Later written is greater.
package struct BlockLocation: Hashable, Sendable, Comparable {
    /// The unit's number.
    package var unit: UInt32
    /// The block's number in the unit, from 0.
    package var number: UInt32

    /// Creates a location.
    package init(unit: UInt32, number: UInt32) {
        self.unit = unit
        self.number = number
    }

    /// Reads a place from one number.
    init(number: UInt64) {
        unit = UInt32(truncatingIfNeeded: number >> 32)
        self.number = UInt32(truncatingIfNeeded: number)
    }

    /// The place as one number, in the order of writing.
    var asNumber: UInt64 { UInt64(unit) << 32 | UInt64(number) }

    /// Order of writing.
    package static func < (left: BlockLocation, right: BlockLocation) -> Bool {
        (left.unit, left.number) < (right.unit, right.number)
    }
}
