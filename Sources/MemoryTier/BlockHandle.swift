/// Names one residency of one block in the memory tier.
///
/// Once the block has gone, its handles are stale for ever: the slot's next block has another generation.
package struct BlockHandle: Hashable, Sendable {
    /// Which place in the tier's tables.
    package let slot: UInt32
    /// Which occupant of that place.
    package let generation: UInt32

    /// Creates a handle.
    package init(slot: UInt32, generation: UInt32) {
        self.slot = slot
        self.generation = generation
    }
}
