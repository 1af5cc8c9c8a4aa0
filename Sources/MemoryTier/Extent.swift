/// A run of granules in the arena that one block or reservation holds.
package struct Extent: Hashable, Sendable {
    /// The allocator's record of it.
    package let node: UInt32
    /// Where it begins, granules from the arena's start.
    package let firstGranule: Int
    /// How long it is.
    package let granuleCount: Int

    /// Bytes of a granule: what extents begin on and are rounded up to.
    package static let granuleByteCount = 64

    /// Bytes of the extent.
    package var byteCount: Int { granuleCount * Self.granuleByteCount }
    /// Where it begins, bytes from the arena's start.
    package var byteOffset: Int { firstGranule * Self.granuleByteCount }
}
