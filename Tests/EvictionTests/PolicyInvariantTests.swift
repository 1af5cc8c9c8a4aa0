import Eviction
import TestSupport
import Testing

@Suite("every policy")
struct PolicyInvariantTests {
    @Test(
        "proposes only what is held and not withheld, whatever happens",
        arguments: EvictionPolicyName.allCases,
        [UInt64(1), 2, 3]
    )
    func anyStream(name: EvictionPolicyName, seed: UInt64) {
        var stream = OperationStream(name, seed: seed)
        for _ in 0..<30_000 {
            stream.step()
            guard stream.isSound else { break }
        }
        #expect(stream.isSound, "seed \(seed)")
        let held = stream.eligible
        #expect(stream.drain() == held, "seed \(seed): everything held comes out, once")
        #expect(stream.policy.victim() == nil)
    }

    @Test("takes no notice of slots that it does not hold", arguments: EvictionPolicyName.allCases)
    func unknownSlots(name: EvictionPolicyName) {
        var policy = name.makePolicy(slotCount: 4)
        for slot in [UInt32(0), 7, 4_000_000] {
            policy.touched(slot, at: nil)
            policy.touched(slot, at: ChainPlace(request: 1, position: 0, requestBlockCount: 1))
            policy.removed(slot, isEviction: true)
            policy.withheld(slot)
            policy.returned(slot)
        }
        #expect(policy.victim() == nil)
        policy.inserted(2, BlockTraits(identityBits: 5, byteCount: 1))
        policy.returned(2)
        policy.removed(3, isEviction: false)
        #expect(policy.victim() == 2)
        policy.removed(2, isEviction: true)
        policy.removed(2, isEviction: true)
        policy.touched(2)
        #expect(policy.victim() == nil)
    }

    @Test(
        "keeps withheld blocks out of its proposals until they return",
        arguments: EvictionPolicyName.allCases
    )
    func withheld(name: EvictionPolicyName) {
        var policy = name.makePolicy(slotCount: 100)
        for slot in UInt32(0)..<100 {
            policy.inserted(slot, BlockTraits(identityBits: UInt64(slot) << 40, byteCount: 1))
        }
        var withheld: Set<UInt32> = []
        while let victim = policy.victim() {
            #expect(withheld.insert(victim).inserted)
            policy.withheld(victim)
        }
        #expect(withheld.count == 100)
        policy.touched(13)
        #expect(policy.victim() == nil)
        for slot in UInt32(0)..<100 where slot % 3 == 0 { policy.returned(slot) }
        var back: Set<UInt32> = []
        while let victim = policy.victim() {
            back.insert(victim)
            policy.removed(victim, isEviction: true)
        }
        #expect(back == Set((UInt32(0)..<100).filter { $0 % 3 == 0 }))
    }
}

/// Random calls to a policy, and what it must hold after them.
struct OperationStream {
    var policy: any EvictionPolicy
    private(set) var eligible: Set<UInt32> = []
    private(set) var isSound = true
    private var withheld: Set<UInt32> = []
    private var random: SeededRandom
    private var request: UInt32 = 0

    init(_ name: EvictionPolicyName, seed: UInt64) {
        policy = name.makePolicy(slotCount: 16)
        random = SeededRandom(seed: seed)
    }

    mutating func step() {
        let slot = UInt32.random(in: 0..<300, using: &random)
        let isHeld = eligible.contains(slot) || withheld.contains(slot)
        switch Int.random(in: 0..<8, using: &random) {
        case 0...1 where !isHeld:
            let block = UInt64.random(in: 0..<600, using: &random)
            let bits = (block + 1) &* 0x9e37_79b9_7f4a_7c15
            policy.inserted(slot, BlockTraits(identityBits: bits, byteCount: 1, place: place()))
            eligible.insert(slot)
        case 2...3: policy.touched(slot, at: place())
        case 4:
            policy.removed(slot, isEviction: Bool.random(using: &random))
            eligible.remove(slot)
            withheld.remove(slot)
        case 5:
            policy.withheld(slot)
            if eligible.remove(slot) != nil { withheld.insert(slot) }
        case 6:
            policy.returned(slot)
            if withheld.remove(slot) != nil { eligible.insert(slot) }
        default: propose()
        }
    }

    /// Evicts everything; what came out.
    mutating func drain() -> Set<UInt32> {
        var slots: Set<UInt32> = []
        while let victim = policy.victim() {
            guard slots.insert(victim).inserted else { return [] }
            policy.removed(victim, isEviction: true)
        }
        return slots
    }

    private mutating func propose() {
        guard let victim = policy.victim() else {
            isSound = isSound && eligible.isEmpty
            return
        }
        isSound = isSound && eligible.contains(victim)
        if Bool.random(using: &random) {
            policy.removed(victim, isEviction: true)
            eligible.remove(victim)
        } else {
            policy.withheld(victim)
            if eligible.remove(victim) != nil { withheld.insert(victim) }
        }
    }

    private mutating func place() -> ChainPlace? {
        guard Bool.random(using: &random) else { return nil }
        if Int.random(in: 0..<10, using: &random) == 0 { request &+= 1 }
        return ChainPlace(
            request: request &- UInt32.random(in: 0..<3, using: &random) &* 64,
            position: UInt32.random(in: 0..<40, using: &random),
            requestBlockCount: 40
        )
    }
}
