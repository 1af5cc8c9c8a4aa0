/// The allocator's record of one extent, free or held: 24 bytes outside the arena.
///
/// Records form a chain in address order, so an extent ends where the next begins.
struct ExtentNode: BitwiseCopyable {
    /// No record: both ends of every chain.
    static let none = UInt32.max

    private var start: UInt64
    /// The neighbour at lower addresses.
    var previous: UInt32
    /// The neighbour at higher addresses; in a vacant record the next vacant one.
    var next: UInt32
    /// Neighbours in a list of free extents.
    private var first: UInt32
    private var second: UInt32

    private static let freeBit: UInt64 = 1 << 63

    /// A held extent without an owner.
    init(firstGranule: Int, previous: UInt32, next: UInt32) {
        start = UInt64(truncatingIfNeeded: firstGranule)
        self.previous = previous
        self.next = next
        first = Self.none
        second = Self.none
    }

    /// Where the extent begins, granules.
    var firstGranule: Int { Int(truncatingIfNeeded: start & ~Self.freeBit) }

    /// Whether nobody holds it.
    var isFree: Bool {
        get { start & Self.freeBit != 0 }
        set { start = newValue ? start | Self.freeBit : start & ~Self.freeBit }
    }

    /// The list neighbour before; of free extents only.
    var previousFree: UInt32 {
        get { first }
        set { first = newValue }
    }

    /// The list neighbour after; of free extents only.
    var nextFree: UInt32 {
        get { second }
        set { second = newValue }
    }

    /// Who holds it: a slot, or `none` for a reservation. Of held extents only.
    var owner: UInt32 {
        get { first }
        set { first = newValue }
    }
}
