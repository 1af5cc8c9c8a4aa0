/// What an eviction policy may know of a block beside its slot.
package struct BlockTraits: Hashable, Sendable {
    /// A uniform value that is the same whenever the block comes back: what ghosts and frequency sketches are keyed by.
    package let identityBits: UInt64
    /// Bytes that the block takes, header and padding included.
    package let byteCount: Int
    /// The block's place in the request that brings it; `nil` for plain puts.
    package let place: ChainPlace?

    /// Creates traits.
    package init(identityBits: UInt64, byteCount: Int, place: ChainPlace? = nil) {
        self.identityBits = identityBits
        self.byteCount = byteCount
        self.place = place
    }
}
