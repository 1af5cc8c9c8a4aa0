import Eviction
import TestSupport
import Testing

@Suite("SIEVE policy")
struct SievePolicyTests {
    @Test("the hand passes over used blocks once, and goes on where it stopped")
    func hand() {
        var policy = SievePolicy(slotCount: 4)
        for slot in UInt32(0)..<4 { policy.inserted(slot, BlockTraits(identityBits: 1, byteCount: 1)) }
        policy.touched(0)
        policy.touched(2)
        #expect(evict(&policy) == 1)
        #expect(evict(&policy) == 3)
        #expect(evict(&policy) == 0)
        #expect(evict(&policy) == 2)
        #expect(evict(&policy) == nil)
    }

    @Test(
        "any sequence of uses, puts and evictions gives the order of a plain queue",
        arguments: [UInt64(1), 2, 3]
    )
    func model(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var policy = SievePolicy(slotCount: 16)
        var model = PlainSieve()
        for _ in 0..<20_000 {
            let slot = UInt32.random(in: 0..<40, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0 where !model.queue.contains { $0.slot == slot }:
                policy.inserted(slot, BlockTraits(identityBits: 1, byteCount: 1))
                model.queue.append((slot, false))
            case 1:
                policy.touched(slot)
                model.touch(slot)
            case 2:
                policy.removed(slot, isEviction: false)
                model.remove(slot)
            default: #expect(evict(&policy) == model.evict(), "seed \(seed)")
            }
        }
    }

    private func evict(_ policy: inout SievePolicy) -> UInt32? {
        guard let victim = policy.victim() else { return nil }
        policy.removed(victim, isEviction: true)
        return victim
    }
}

/// The paper's algorithm over an array, oldest first.
private struct PlainSieve {
    var queue: [(slot: UInt32, isUsed: Bool)] = []
    private var hand = 0

    mutating func touch(_ slot: UInt32) {
        if let index = queue.firstIndex(where: { $0.slot == slot }) { queue[index].isUsed = true }
    }

    mutating func remove(_ slot: UInt32) {
        guard let index = queue.firstIndex(where: { $0.slot == slot }) else { return }
        queue.remove(at: index)
        if index < hand { hand -= 1 }
        // The newest was under the hand: it starts again at the oldest, also when others arrive.
        if hand >= queue.count { hand = 0 }
    }

    mutating func evict() -> UInt32? {
        guard !queue.isEmpty else { return nil }
        while queue[hand].isUsed {
            queue[hand].isUsed = false
            hand = (hand + 1) % queue.count
        }
        let victim = queue[hand].slot
        remove(victim)
        return victim
    }
}
