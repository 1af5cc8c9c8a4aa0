internal import CPosix

/// Which extents of a memory file are blocks: one place of 16 bytes for each record of the allocator, in the file.
///
/// Each place is two words. The first says where the extent is, and whether another tier has the block. The second
/// says that the first counts: the place's number in the order of commits, and 16 bits that prove both; it is written
/// last when a block becomes visible, and cleared before anything else when it ends. A process that ends at any point
/// between two stores leaves a place that counts or does not.
///
/// Not synchronized: each place is written under the lock of its block's shard.
@safe
struct ExtentDirectory: @unchecked Sendable {
    // Sendable: two addresses' worth of constants; who may write which place is said above.

    /// What a place says.
    struct Record: Equatable {
        /// The extent; its node is the place's number.
        var extent: Extent
        /// Which commit it was: later ones have higher numbers.
        var sequence: UInt64
        /// Whether another tier had the block.
        var isClean: Bool
    }

    static let placeByteCount = 16
    private static let cleanBit: UInt64 = 1 << 62

    /// Places.
    let placeCount: Int
    private let base: UnsafeMutableRawPointer

    /// The directory at `base`, which has `placeCount` places and outlives it.
    init(at base: UnsafeMutableRawPointer, placeCount: Int) {
        unsafe self.base = unsafe base
        self.placeCount = placeCount
    }

    /// Says that an extent is a block.
    func publish(_ extent: Extent, sequence: UInt64, isClean: Bool) {
        let place = unsafe address(of: extent.node)
        let first =
            UInt64(truncatingIfNeeded: extent.firstGranule) | UInt64(truncatingIfNeeded: extent.granuleCount)
            << 38
        unsafe larder_store_release(place, first | (isClean ? Self.cleanBit : 0))
        let check = Self.check(first, sequence: sequence, node: extent.node)
        unsafe larder_store_release(place + 8, sequence << 16 | check)
    }

    /// Says that an extent is no block any more.
    func clear(_ node: UInt32) {
        unsafe larder_store_release(address(of: node) + 8, 0)
    }

    /// Says that another tier has the block.
    func markClean(_ node: UInt32) {
        let place = unsafe address(of: node)
        unsafe larder_store_release(place, larder_load_acquire(place) | Self.cleanBit)
    }

    /// Says that no other tier has the block.
    func markDirty(_ node: UInt32) {
        let place = unsafe address(of: node)
        unsafe larder_store_release(place, larder_load_acquire(place) & ~Self.cleanBit)
    }

    /// What a place says.
    enum Content: Equatable {
        case nothing
        case record(Record)
        /// Something that this program did not write.
        case damaged
    }

    /// Reads a place.
    func content(of node: UInt32) -> Content {
        let place = unsafe address(of: node)
        let second = unsafe larder_load_acquire(place + 8)
        guard second != 0 else { return .nothing }
        let stored = unsafe larder_load_acquire(place)
        let first = stored & ~Self.cleanBit
        let sequence = second >> 16
        guard second & 0xFFFF == Self.check(first, sequence: sequence, node: node), first >> 62 == 0 else {
            return .damaged
        }
        let extent = Extent(
            node: node,
            firstGranule: Int(truncatingIfNeeded: first & (1 << 38 - 1)),
            granuleCount: Int(truncatingIfNeeded: first >> 38)
        )
        return .record(Record(extent: extent, sequence: sequence, isClean: stored & Self.cleanBit != 0))
    }

    private func address(of node: UInt32) -> UnsafeMutableRawPointer {
        precondition(Int(node) < placeCount, "the directory has a place for every record of the allocator")
        return unsafe base + Int(node) * Self.placeByteCount
    }

    private static func check(_ first: UInt64, sequence: UInt64, node: UInt32) -> UInt64 {
        var mixed = first ^ (sequence &* 0x9e37_79b9_7f4a_7c15) ^ (UInt64(node) &* 0xc2b2_ae3d_27d4_eb4f)
        mixed = (mixed ^ mixed >> 29) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 32) &* 0x94d0_49bb_1331_11eb
        return mixed >> 48
    }
}
