internal import Blocks

/// The arena's space: who has how much of it.
struct Space: ~Copyable {
    /// What became of a wish for an extent.
    enum Grant {
        case extent(Extent)
        /// No free extent is long enough, or there are too many blocks: something has to go first.
        case full
        /// Too much is reserved already.
        case tooManyReservations
    }

    /// The extents.
    var allocator: ExtentAllocator
    private(set) var reserved = Tally()
    private let blockCountMax: Int
    /// Granules that there are, or will be when they are wanted.
    private(set) var granuleCountMax: Int

    /// Space of `byteCount` bytes, of which `claimedByteCount` are given out so far.
    init(byteCount: Int, claimedByteCount: Int, blockCountMax: Int) {
        allocator = ExtentAllocator(
            granuleCount: claimedByteCount / Extent.granuleByteCount,
            extentCountMax: blockCountMax
        )
        granuleCountMax = byteCount / Extent.granuleByteCount
        self.blockCountMax = blockCountMax
    }

    /// Takes up the extents of blocks of the run before, in the order of addresses.
    mutating func takeOver(_ held: [Extent]) {
        allocator = ExtentAllocator(
            granuleCount: allocator.granuleCount,
            extentCountMax: blockCountMax,
            held: held
        )
    }

    /// There is no more than what is given out already.
    mutating func settleForLess() { granuleCountMax = allocator.granuleCount }

    /// Bytes that are free, or can still be given out.
    var unusedByteCount: Int {
        (allocator.freeGranuleCount + max(0, granuleCountMax - allocator.granuleCount))
            * Extent.granuleByteCount
    }

    /// Takes an extent for a reservation.
    ///
    /// Reservations together take at most half of the arena; one always may.
    mutating func reserve(granuleCount: Int) -> Grant {
        let byteCount = granuleCount * Extent.granuleByteCount
        let half = granuleCountMax / 2 * Extent.granuleByteCount
        guard reserved.blockCount == 0 || reserved.byteCount + byteCount <= half else {
            return .tooManyReservations
        }
        guard allocator.extentCount < blockCountMax,
            let extent = allocator.allocate(granuleCount: granuleCount)
        else { return .full }
        reserved.add(byteCount)
        return .extent(extent)
    }

    /// The reservation became the block in `slot`.
    mutating func settle(_ extent: Extent, in slot: UInt32) {
        reserved.subtract(extent.byteCount)
        allocator.setOwner(slot, of: extent.node)
    }

    /// The reservation became nothing.
    mutating func giveBack(_ extent: Extent) {
        reserved.subtract(extent.byteCount)
        allocator.free(extent.node)
    }
}
