/// Which block goes first: a value without clock, lock or bytes, to be swapped, fuzzed and simulated on its own.
///
/// A policy knows blocks by slot, a small number that its owner gives out and recycles. It proposes; the owner
/// decides: a proposed block that may not go now (leased, pinned, not yet on disk) is *withheld* and costs the next
/// proposals nothing, until the owner says that it *returned*.
///
/// All calls are O(1), amortized. A call for a slot that the policy does not hold changes nothing.
package protocol EvictionPolicy: Sendable {
    /// An empty policy.
    ///
    /// - Parameter slotCount: about how many slots there will be; higher slots than that are accepted.
    init(slotCount: Int)

    /// A block took `slot`.
    mutating func inserted(_ slot: UInt32, _ traits: BlockTraits)

    /// The block in `slot` was used. The blocks of one prefix are touched from tail to head, so that children go
    /// before their parents.
    ///
    /// - Parameter place: where the block stood in the request; `nil` for a use without a question before it.
    mutating func touched(_ slot: UInt32, at place: ChainPlace?)

    /// The block left `slot`: evicted as proposed, or removed by someone's wish.
    mutating func removed(_ slot: UInt32, isEviction: Bool)

    /// The block that should go next; it stays until `removed` or `withheld`. `nil` when none is eligible.
    mutating func victim() -> UInt32?

    /// The block may not go for now: not proposed until `returned`. It can be touched meanwhile.
    mutating func withheld(_ slot: UInt32)

    /// The block may go again, at its old place in the order as well as the policy can tell.
    mutating func returned(_ slot: UInt32)
}

extension EvictionPolicy {
    /// The block in `slot` was used, and nothing is known of its chain.
    package mutating func touched(_ slot: UInt32) { touched(slot, at: nil) }
}
