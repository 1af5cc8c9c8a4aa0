import Eviction
import TestSupport
import Testing

@Suite("LRU policy")
struct LRUPolicyTests {
    private static let traits = BlockTraits(identityBits: 1, byteCount: 64)

    @Test("the block used longest ago goes first")
    func order() {
        var policy = LRUPolicy(slotCount: 4)
        for slot in UInt32(0)..<4 { policy.inserted(slot, Self.traits) }
        policy.touched(0)
        policy.touched(2)
        #expect(drain(&policy) == [1, 3, 0, 2])
    }

    @Test("blocks of a prefix touched from tail to head leave from the tail")
    func tailFirst() {
        var policy = LRUPolicy(slotCount: 8)
        for slot in UInt32(0)..<5 { policy.inserted(slot, Self.traits) }
        for slot in (UInt32(0)..<5).reversed() { policy.touched(slot) }
        #expect(drain(&policy) == [4, 3, 2, 1, 0])
    }

    @Test("a withheld block is passed over, and is next in line again when it returns")
    func withheld() {
        var policy = LRUPolicy(slotCount: 4)
        for slot in UInt32(0)..<4 { policy.inserted(slot, Self.traits) }
        policy.withheld(0)
        #expect(policy.victim() == 1)
        policy.returned(0)
        #expect(drain(&policy) == [0, 1, 2, 3])
    }

    @Test("a block touched while withheld returns as the newest")
    func touchedWhileWithheld() {
        var policy = LRUPolicy(slotCount: 4)
        for slot in UInt32(0)..<3 { policy.inserted(slot, Self.traits) }
        policy.withheld(0)
        policy.touched(0)
        #expect(policy.victim() == 1)
        policy.returned(0)
        #expect(drain(&policy) == [1, 2, 0])
    }

    @Test("calls for unknown slots change nothing")
    func unknownSlots() {
        var policy = LRUPolicy(slotCount: 1)
        policy.touched(9)
        policy.removed(9, isEviction: true)
        policy.withheld(9)
        policy.returned(9)
        policy.inserted(2, Self.traits)
        policy.touched(1)
        policy.returned(1)
        policy.returned(2)
        #expect(drain(&policy) == [2])
    }

    @Test("any sequence of calls gives the order of a plain list", arguments: [UInt64(1), 2, 3, 4])
    func model(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var policy = LRUPolicy(slotCount: 16)
        var listed: [UInt32] = []
        var withheld: [UInt32: Bool] = [:]
        for _ in 0..<20_000 {
            let slot = UInt32.random(in: 0..<48, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0 where !listed.contains(slot) && withheld[slot] == nil:
                policy.inserted(slot, Self.traits)
                listed.append(slot)
            case 1:
                policy.touched(slot)
                if let index = listed.firstIndex(of: slot) { listed.append(listed.remove(at: index)) }
                if withheld[slot] != nil { withheld[slot] = true }
            case 2:
                policy.removed(slot, isEviction: false)
                listed.removeAll { $0 == slot }
                withheld[slot] = nil
            case 3:
                policy.withheld(slot)
                if let index = listed.firstIndex(of: slot) {
                    listed.remove(at: index)
                    withheld[slot] = false
                }
            case 4:
                policy.returned(slot)
                if let wasTouched = withheld.removeValue(forKey: slot) {
                    listed.insert(slot, at: wasTouched ? listed.count : 0)
                }
            default:
                #expect(policy.victim() == listed.first)
            }
        }
        #expect(drain(&policy) == listed)
    }

    private func drain(_ policy: inout LRUPolicy) -> [UInt32] {
        var order: [UInt32] = []
        while let slot = policy.victim() {
            order.append(slot)
            policy.removed(slot, isEviction: true)
        }
        return order
    }
}
