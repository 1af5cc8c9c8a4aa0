internal import Blocks
internal import Eviction

/// The eviction policy, and whose block it means by each slot.
struct Recency {
    /// Held by its protocol: one call through a table and one look whether it is shared, a few nanoseconds.
    private var policy: any EvictionPolicy
    /// The generation that the policy knows in each slot; 0 is none.
    private var generations: [UInt32] = []

    init(_ name: EvictionPolicyName, slotCount: Int) {
        policy = name.makePolicy(slotCount: slotCount)
        generations.reserveCapacity(slotCount)
    }

    mutating func inserted(_ handle: BlockHandle, _ traits: BlockTraits) {
        while generations.count <= Int(handle.slot) { generations.append(0) }
        generations[Int(handle.slot)] = handle.generation
        policy.inserted(handle.slot, traits)
    }

    mutating func removed(_ slot: UInt32, isEviction: Bool) {
        generations[Int(slot)] = 0
        policy.removed(slot, isEviction: isEviction)
    }

    /// Stale handles are ignored.
    mutating func touched(_ handle: BlockHandle, at place: ChainPlace?) {
        guard Int(handle.slot) < generations.count, generations[Int(handle.slot)] == handle.generation else {
            return
        }
        policy.touched(handle.slot, at: place)
    }

    mutating func withheld(_ slot: UInt32) { policy.withheld(slot) }

    mutating func returned(_ slot: UInt32) { policy.returned(slot) }

    mutating func victim() -> BlockHandle? {
        guard let slot = policy.victim() else { return nil }
        return BlockHandle(slot: slot, generation: generations[Int(slot)])
    }
}
