/// W-TinyLFU: a small window of new blocks; one that leaves it enters the main part only if a sketch has seen it more
/// often than the block it would push out.
///
/// Einziger, Friedman, Manes: "TinyLFU: A Highly Efficient Cache Admission Policy", ACM ToS 2017; the window is 1 %, as
/// in the paper, and does not adapt. 24 bytes a slot and 4 for the sketch. Best on popularity that is skewed and
/// steady, and against scans. Not for conversations: what comes back once, soon, never gets in.
package struct WTinyLFUPolicy: EvictionPolicy {
    private enum Place: UInt8 { case absent, window, probation, protected, withheld }
    private struct Slot {
        var identityBits: UInt64 = 0
        var place = Place.absent
    }

    /// One block in this many is in the window.
    private static let windowShare = 100

    private var rings: SlotRings
    private var slots: [Slot] = []
    private var counts = [0, 0, 0]
    private var sketch: FrequencySketch
    private var sketchedCount: Int
    private var heldCountPeak = 0

    /// An empty window and main part.
    package init(slotCount: Int) {
        rings = SlotRings(ringCount: 3, slotCount: slotCount)
        sketchedCount = 1_024
        sketch = FrequencySketch(count: 1_024)
    }

    /// Puts the block into the window.
    package mutating func inserted(_ slot: UInt32, _ traits: BlockTraits) {
        while slots.count <= Int(slot) { slots.append(Slot()) }
        takeOut(slot)
        sketch.add(traits.identityBits)
        slots[Int(slot)].identityBits = traits.identityBits
        append(slot, to: .window)
        if heldCount > heldCountPeak { grow() }
    }

    /// Makes the block the newest of its part; one on probation is protected from now on.
    package mutating func touched(_ slot: UInt32, at place: ChainPlace?) {
        guard Int(slot) < slots.count, slots[Int(slot)].place != .absent else { return }
        sketch.add(slots[Int(slot)].identityBits)
        guard rings.contains(slot) else { return }
        let old = slots[Int(slot)].place
        takeOut(slot)
        append(slot, to: old == .window ? .window : .protected)
        while counts[Ring.protected] > protectedCountMax, let oldest = rings.oldest(of: Ring.protected) {
            takeOut(oldest)
            append(oldest, to: .probation)
        }
    }

    /// Forgets the block.
    package mutating func removed(_ slot: UInt32, isEviction: Bool) {
        guard Int(slot) < slots.count, slots[Int(slot)].place != .absent else { return }
        takeOut(slot)
        slots[Int(slot)] = Slot()
    }

    /// What leaves the window, or the main block that was seen less often.
    package mutating func victim() -> UInt32? {
        if counts[Ring.window] > windowCountMax, let candidate = rings.oldest(of: Ring.window) {
            guard let held = mainOldest else { return candidate }
            guard
                sketch.estimate(slots[Int(candidate)].identityBits)
                    > sketch.estimate(slots[Int(held)].identityBits)
            else { return candidate }
            takeOut(candidate)
            append(candidate, to: .probation)
            return held
        }
        return mainOldest ?? rings.oldest(of: Ring.window)
    }

    /// Takes the block out of its part.
    package mutating func withheld(_ slot: UInt32) {
        guard rings.contains(slot) else { return }
        takeOut(slot)
        slots[Int(slot)].place = .withheld
    }

    /// Puts the block on probation, as the oldest.
    package mutating func returned(_ slot: UInt32) {
        guard Int(slot) < slots.count, slots[Int(slot)].place == .withheld else { return }
        slots[Int(slot)].place = .probation
        counts[Ring.probation] += 1
        rings.appendOldest(slot, to: Ring.probation)
    }

    private enum Ring {
        static let window = 0
        static let probation = 1
        static let protected = 2
    }

    private var heldCount: Int { counts[0] + counts[1] + counts[2] }
    private var windowCountMax: Int { max(1, heldCount / Self.windowShare) }
    private var protectedCountMax: Int { (heldCount - windowCountMax) * 4 / 5 }
    private var mainOldest: UInt32? { rings.oldest(of: Ring.probation) ?? rings.oldest(of: Ring.protected) }

    private static func ring(of place: Place) -> Int {
        switch place {
        case .window: Ring.window
        case .protected: Ring.protected
        case .probation, .absent, .withheld: Ring.probation
        }
    }

    private mutating func append(_ slot: UInt32, to place: Place) {
        slots[Int(slot)].place = place
        counts[Self.ring(of: place)] += 1
        rings.appendNewest(slot, to: Self.ring(of: place))
    }

    private mutating func takeOut(_ slot: UInt32) {
        guard rings.contains(slot) else { return }
        rings.remove(slot)
        counts[Self.ring(of: slots[Int(slot)].place)] -= 1
    }

    /// While the cache still fills, blocks leave the window for the main part unjudged.
    private mutating func grow() {
        heldCountPeak = heldCount
        while counts[Ring.window] > windowCountMax, let oldest = rings.oldest(of: Ring.window) {
            takeOut(oldest)
            append(oldest, to: .probation)
        }
        guard heldCount > sketchedCount else { return }
        sketchedCount *= 2
        sketch = FrequencySketch(count: sketchedCount)
    }
}
