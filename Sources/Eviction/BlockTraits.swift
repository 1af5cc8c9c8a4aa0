/// What an eviction policy may know of a block beside its slot.
package struct BlockTraits: Hashable, Sendable {
    /// A uniform value that is the same whenever the block comes back: what ghosts and frequency sketches are keyed by.
    package let identityBits: UInt64
    /// Bytes that the block takes, header and padding included.
    package let byteCount: Int

    /// Creates traits.
    package init(identityBits: UInt64, byteCount: Int) {
        self.identityBits = identityBits
        self.byteCount = byteCount
    }
}
