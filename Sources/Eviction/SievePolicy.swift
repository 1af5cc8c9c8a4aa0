/// SIEVE: a queue in the order of arrival and a hand that passes over what was used since it last came by.
///
/// Zhang, Yang, Yue, Vigfusson, Rashmi: "SIEVE is Simpler than LRU", NSDI 2024. 9 bytes a slot, and a use costs one
/// store. Good on skewed popularity. Not for conversations and other work where what matters is how long ago, nor for
/// scans larger than the cache: a block is never put back in order by its use.
package struct SievePolicy: EvictionPolicy {
    private enum Mark: UInt8 { case absent, fresh, used, withheld }

    private var ring: SlotRings
    private var marks: [Mark] = []
    /// The next block to look at; `nil` is the oldest.
    private var hand: UInt32?

    /// An empty queue.
    package init(slotCount: Int) {
        ring = SlotRings(ringCount: 1, slotCount: slotCount)
        marks.reserveCapacity(slotCount)
    }

    /// Puts the block at the end of the queue, unused.
    package mutating func inserted(_ slot: UInt32, _ traits: BlockTraits) {
        while marks.count <= Int(slot) { marks.append(.absent) }
        takeOut(slot)
        marks[Int(slot)] = .fresh
        ring.appendNewest(slot, to: 0)
    }

    /// Marks the block as used.
    package mutating func touched(_ slot: UInt32, at place: ChainPlace?) {
        guard mark(of: slot) == .fresh else { return }
        marks[Int(slot)] = .used
    }

    /// Forgets the block.
    package mutating func removed(_ slot: UInt32, isEviction: Bool) {
        guard mark(of: slot) != .absent else { return }
        takeOut(slot)
        marks[Int(slot)] = .absent
    }

    /// The first block from the hand on that was not used; takes the marks off those it passes.
    package mutating func victim() -> UInt32? {
        guard var candidate = hand ?? ring.oldest(of: 0) else { return nil }
        while marks[Int(candidate)] == .used {
            marks[Int(candidate)] = .fresh
            guard let next = ring.newer(than: candidate) ?? ring.oldest(of: 0) else { break }
            candidate = next
        }
        hand = candidate
        return candidate
    }

    /// Takes the block out of the queue.
    package mutating func withheld(_ slot: UInt32) {
        guard ring.contains(slot) else { return }
        takeOut(slot)
        marks[Int(slot)] = .withheld
    }

    /// Puts the block at the front of the queue, unused.
    package mutating func returned(_ slot: UInt32) {
        guard mark(of: slot) == .withheld else { return }
        marks[Int(slot)] = .fresh
        ring.appendOldest(slot, to: 0)
    }

    private func mark(of slot: UInt32) -> Mark { Int(slot) < marks.count ? marks[Int(slot)] : .absent }

    /// The hand goes on to the next block.
    private mutating func takeOut(_ slot: UInt32) {
        if hand == slot { hand = ring.newer(than: slot) }
        ring.remove(slot)
    }
}
