import TestSupport
import Testing

@testable import Eviction

@Suite("forecast policy")
struct ForecastPolicyTests {
    @Test("blocks of a chain leave from the tail, put in either order", arguments: [false, true])
    func tailFirst(isHeadFirst: Bool) {
        var policy = ForecastPolicy(slotCount: 8)
        let slots = Array(UInt32(0)..<8)
        for slot in isHeadFirst ? slots : slots.reversed() {
            let place = ChainPlace(request: 1, position: slot, requestBlockCount: 8)
            policy.inserted(slot, BlockTraits(identityBits: UInt64(slot) << 30, byteCount: 1, place: place))
        }
        var order: [UInt32] = []
        while let victim = policy.victim() {
            order.append(victim)
            policy.removed(victim, isEviction: true)
        }
        #expect(order == slots.reversed())
    }

    @Test("what is put behind a hole of its own chain goes first")
    func deadBlocks() {
        var policy = ForecastPolicy(slotCount: 8)
        for slot in UInt32(0)..<4 {
            let place = ChainPlace(request: 1, position: slot, requestBlockCount: 10)
            policy.inserted(slot, BlockTraits(identityBits: UInt64(slot) << 30, byteCount: 1, place: place))
        }
        policy.removed(3, isEviction: true)
        policy.inserted(9, BlockTraits(identityBits: 99 << 30, byteCount: 1))
        let behind = ChainPlace(request: 1, position: 4, requestBlockCount: 10)
        policy.inserted(4, BlockTraits(identityBits: 77 << 30, byteCount: 1, place: behind))
        #expect(policy.victim() == 4)
    }

    @Test("a loop somewhat larger than the cache keeps most of its hits")
    func loop() {
        var cache = TinyCache(ForecastPolicy(slotCount: 1_000), capacity: 1_000)
        var hits = 0
        for round in 0..<40 {
            for block in UInt64(0)..<1_100 where cache.use(block) && round >= 20 { hits += 1 }
        }
        #expect(hits > 20 * 1_100 / 2, "\(hits) hits of \(20 * 1_100)")
    }

    @Test("a scan does not push out what is used all the time")
    func scan() {
        var cache = TinyCache(ForecastPolicy(slotCount: 1_000), capacity: 1_000)
        for round in UInt64(0)..<20 {
            for block in UInt64(0)..<500 {
                cache.use(block)
                if round >= 5 { cache.use(10_000 + round * 500 + block) }
            }
        }
        let held = (UInt64(0)..<500).count { cache.holds($0) }
        #expect(held > 400, "\(held) of 500")
    }

    @Test("the read that follows a question is not one more use")
    func announcedRead() {
        var asked = TinyCache(ForecastPolicy(slotCount: 64), capacity: 64)
        var read = asked
        var random = SeededRandom(seed: 11)
        for request in UInt32(0)..<2_000 {
            let block = UInt64.random(in: 0..<100, using: &random)
            let place = ChainPlace(request: request, position: 0, requestBlockCount: 1)
            asked.use(block, at: place)
            if read.use(block, at: place) { read.use(block) }
        }
        #expect((UInt64(0)..<100).allSatisfy { asked.holds($0) == read.holds($0) })
    }

    @Test(
        "bookkeeping takes at most 150 bytes a block, ghosts and sample included",
        arguments: [true, false]
    )
    func bytes(hasPlaces: Bool) {
        let capacity = 4_000
        var cache = TinyCache(ForecastPolicy(slotCount: capacity), capacity: capacity)
        for request in UInt32(0)..<3_000 {
            for position in (UInt32(0)..<10).reversed() {
                let place = ChainPlace(request: request, position: position, requestBlockCount: 10)
                cache.use(UInt64(request * 10 + position), at: hasPlaces ? place : nil)
            }
        }
        #expect(cache.policy.byteCount <= 150 * capacity)
    }

    @Test("ages fall into buckets that begin where they say")
    func ages() {
        for age in [UInt32(0), 1, 3, 4, 5, 6, 7, 8, 11, 12, 1_000, 65_536, 98_304, 1 << 23] {
            let bucket = AgeScale.bucket(of: age)
            #expect(AgeScale.start(of: bucket) <= Double(age))
            #expect(AgeScale.start(of: bucket + 1) > Double(age))
        }
        #expect(AgeScale.bucket(of: .max) == AgeScale.bucketCount - 1)
    }
}
