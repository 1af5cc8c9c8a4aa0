import TestSupport
import Testing

@testable import Eviction

@Suite("policies by frequency")
struct FrequencyPolicyTests {
    @Test("S3-FIFO: one-shot blocks pass through, what was used twice stays")
    func smallQueue() {
        var cache = TinyCache(S3FIFOPolicy(slotCount: 100), capacity: 100)
        for _ in 0..<3 { for block in UInt64(0)..<50 { cache.use(block) } }
        for block in UInt64(1_000)..<2_000 { cache.use(block) }
        #expect((UInt64(0)..<50).allSatisfy { cache.holds($0) })
    }

    @Test("S3-FIFO: a block that comes back soon after it left goes to the main queue")
    func ghosts() {
        var cache = TinyCache(S3FIFOPolicy(slotCount: 100), capacity: 100)
        for block in UInt64(0)..<150 { cache.use(block) }
        #expect(!cache.holds(20))
        cache.use(20)
        for block in UInt64(1_000)..<1_200 { cache.use(block) }
        #expect(cache.holds(20))
    }

    @Test("W-TinyLFU: a scan does not push out what is used often")
    func admission() {
        var cache = TinyCache(WTinyLFUPolicy(slotCount: 100), capacity: 100)
        for _ in 0..<5 { for block in UInt64(0)..<90 { cache.use(block) } }
        for block in UInt64(1_000)..<3_000 { cache.use(block) }
        let held = (UInt64(0)..<90).count { cache.holds($0) }
        #expect(held >= 85, "\(held) of 90")
    }

    @Test("the sketch never counts too little, and seldom too much")
    func sketch() {
        var sketch = FrequencySketch(count: 1_000)
        var random = SeededRandom(seed: 5)
        let values = (0..<1_000).map { _ in random.next() }
        for (index, value) in values.enumerated() { for _ in 0..<(index % 5) { sketch.add(value) } }
        var excess = 0
        for (index, value) in values.enumerated() {
            #expect(sketch.estimate(value) >= UInt64(index % 5))
            if sketch.estimate(value) > UInt64(index % 5) { excess += 1 }
        }
        #expect(excess < 50, "\(excess) of 1000")
    }

    @Test("the sketch forgets by halves")
    func sketchAges() {
        var sketch = FrequencySketch(count: 1_000)
        var random = SeededRandom(seed: 6)
        let value = random.next()
        for _ in 0..<15 { sketch.add(value) }
        for _ in 0..<20_000 { sketch.add(random.next()) }
        #expect(sketch.estimate(value) < 15)
    }

    @Test("a ghost tells how often and how long ago, once")
    func ghostTable() throws {
        var ghosts = GhostTable(count: 1_000, span: 1_000)
        var random = SeededRandom(seed: 7)
        let blocks = (0..<100).map { _ in random.next() }
        for (index, block) in blocks.enumerated() {
            ghosts.add(block, usedAt: UInt32(index * 100), useCount: UInt8(index % 20), now: 10_000)
        }
        var missing = 0
        for (index, block) in blocks.enumerated() {
            guard let ghost = ghosts.take(block, now: 10_000) else {
                missing += 1
                continue
            }
            #expect(ghost.useCount == UInt8(min(15, index % 20)))
            #expect(abs(Int(ghost.age) - (10_000 - index * 100)) <= 16)
            #expect(ghosts.take(block, now: 10_000) == nil)
        }
        #expect(missing == 0)
    }
}

/// A cache of numbered blocks over one policy.
struct TinyCache<Policy: EvictionPolicy> {
    private(set) var policy: Policy
    private let capacity: Int
    private var slots: [UInt64: UInt32] = [:]
    private var blocks: [UInt32: UInt64] = [:]

    init(_ policy: Policy, capacity: Int) {
        self.policy = policy
        self.capacity = capacity
    }

    func holds(_ block: UInt64) -> Bool { slots[block] != nil }

    /// Returns whether it was a hit.
    @discardableResult
    mutating func use(_ block: UInt64, at place: ChainPlace? = nil) -> Bool {
        if let slot = slots[block] {
            policy.touched(slot, at: place)
            return true
        }
        var slot = UInt32(truncatingIfNeeded: slots.count)
        if slots.count >= capacity, let victim = policy.victim() {
            policy.removed(victim, isEviction: true)
            if let evicted = blocks.removeValue(forKey: victim) { slots[evicted] = nil }
            slot = victim
        }
        slots[block] = slot
        blocks[slot] = block
        var bits = SeededRandom(seed: block)
        policy.inserted(slot, BlockTraits(identityBits: bits.next(), byteCount: 1, place: place))
        return false
    }
}
