/// S3-FIFO: a small queue that new blocks have to survive, a main queue, and a memory of those that did not.
///
/// Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache eviction", SOSP 2023. One-shot blocks leave
/// quickly; a block that comes back soon after it left goes to the main queue at once. 24 bytes a slot and 32 for
/// ghosts. Good where the cache is small for its work. Not where it is large: recency decides there, and a second
/// use that comes after the small queue has turned over costs a miss.
package struct S3FIFOPolicy: EvictionPolicy {
    private enum Place: UInt8 { case absent, small, main, withheldSmall, withheldMain }
    private struct Slot {
        var identityBits: UInt64 = 0
        var place = Place.absent
        var useCount: UInt8 = 0
    }

    /// The share of blocks in the small queue, from the paper.
    private static let smallShare = 10
    private static let useCountMax: UInt8 = 3

    private var rings: SlotRings
    private var slots: [Slot] = []
    private var smallCount = 0
    private var mainCount = 0
    private var ghosts: GhostTable?
    private var ghostCount = 0
    /// Blocks that left the small queue, the clock of the ghosts.
    private var departureCount: UInt32 = 0

    /// Empty queues.
    package init(slotCount: Int) {
        rings = SlotRings(ringCount: 2, slotCount: slotCount)
    }

    /// Puts the block at the end of the small queue, or of the main one if it left a short time ago.
    package mutating func inserted(_ slot: UInt32, _ traits: BlockTraits) {
        while slots.count <= Int(slot) { slots.append(Slot()) }
        takeOut(slot)
        let ghost = ghosts?.take(traits.identityBits, now: departureCount)
        let isKnown = ghost.map { Int($0.age) <= ghostCount } ?? false
        slots[Int(slot)] = Slot(identityBits: traits.identityBits)
        append(slot, to: isKnown ? .main : .small)
    }

    /// Counts a use.
    package mutating func touched(_ slot: UInt32, at place: ChainPlace?) {
        guard Int(slot) < slots.count, slots[Int(slot)].useCount < Self.useCountMax else { return }
        slots[Int(slot)].useCount += 1
    }

    /// Forgets the block; one that is evicted from the small queue leaves a ghost.
    package mutating func removed(_ slot: UInt32, isEviction: Bool) {
        guard Int(slot) < slots.count, slots[Int(slot)].place != .absent else { return }
        if isEviction, slots[Int(slot)].place == .small { remember(slots[Int(slot)].identityBits) }
        takeOut(slot)
        slots[Int(slot)] = Slot()
    }

    /// The oldest of the small queue that was not used twice, or the oldest of the main queue that was not used since
    /// it was last looked at.
    package mutating func victim() -> UInt32? {
        while true {
            if smallCount > 0, mainCount == 0 || smallCount * Self.smallShare >= smallCount + mainCount {
                guard let slot = rings.oldest(of: Ring.small) else { return nil }
                guard slots[Int(slot)].useCount > 1 else { return slot }
                takeOut(slot)
                slots[Int(slot)].useCount = 0
                append(slot, to: .main)
                continue
            }
            guard let slot = rings.oldest(of: Ring.main) else { return nil }
            guard slots[Int(slot)].useCount > 0 else { return slot }
            slots[Int(slot)].useCount -= 1
            rings.remove(slot)
            rings.appendNewest(slot, to: Ring.main)
        }
    }

    /// Takes the block out of its queue.
    package mutating func withheld(_ slot: UInt32) {
        guard rings.contains(slot) else { return }
        let place: Place = slots[Int(slot)].place == .small ? .withheldSmall : .withheldMain
        takeOut(slot)
        slots[Int(slot)].place = place
    }

    /// Puts the block at the front of the queue that it was in.
    package mutating func returned(_ slot: UInt32) {
        guard Int(slot) < slots.count else { return }
        switch slots[Int(slot)].place {
        case .withheldSmall:
            slots[Int(slot)].place = .small
            smallCount += 1
            rings.appendOldest(slot, to: Ring.small)
        case .withheldMain:
            slots[Int(slot)].place = .main
            mainCount += 1
            rings.appendOldest(slot, to: Ring.main)
        case .absent, .small, .main: return
        }
    }

    private enum Ring {
        static let small = 0
        static let main = 1
    }

    private mutating func append(_ slot: UInt32, to place: Place) {
        slots[Int(slot)].place = place
        if place == .small {
            smallCount += 1
            rings.appendNewest(slot, to: Ring.small)
        } else {
            mainCount += 1
            rings.appendNewest(slot, to: Ring.main)
        }
    }

    private mutating func takeOut(_ slot: UInt32) {
        guard rings.contains(slot) else { return }
        rings.remove(slot)
        if slots[Int(slot)].place == .small { smallCount -= 1 } else { mainCount -= 1 }
    }

    /// Keeps as many ghosts as there were blocks when the first one left, made anew when there are twice as many.
    private mutating func remember(_ identityBits: UInt64) {
        let heldCount = smallCount + mainCount
        if ghosts == nil || heldCount > 2 * ghostCount {
            ghostCount = max(16, heldCount)
            // Much room, for sets fill unevenly, and an old ghost is known by its age.
            ghosts = GhostTable(count: 8 * ghostCount, span: ghostCount)
        }
        departureCount &+= 1
        ghosts?.add(identityBits, usedAt: departureCount, useCount: 1, now: departureCount)
    }
}
