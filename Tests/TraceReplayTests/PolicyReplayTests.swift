import Eviction
import TestSupport
import Testing
import TraceReplay

@Suite("trace replay")
struct PolicyReplayTests {
    private static let seed: UInt64 = 17

    private static func conversations(_ change: (inout ConversationWorkload) -> Void = { _ in }) -> Trace {
        var workload = ConversationWorkload()
        change(&workload)
        var trace = Trace()
        for request in workload.requests(1_500, seed: seed) { trace.append(request.lazy.map { UInt64($0) }) }
        return trace
    }

    @Test("LRU gives the hits of a plain list", arguments: [10, 100, 1_000])
    func plainList(capacity: Int) {
        let trace = Self.conversations()
        var list: [UInt32] = []
        var hits = 0
        for request in 0..<500 {
            let chain = trace.blocks[trace.range(of: request)]
            hits += chain.prefix { list.contains($0) }.count
            for block in chain.reversed() {
                list.removeAll { $0 == block }
                list.append(block)
                if list.count > capacity { list.removeFirst() }
            }
        }
        let result = EvictionPolicyName.lru.replay(trace.slice(0..<500), capacity: capacity)
        #expect(result.hitCount == hits)
    }

    @Test(
        "a cache for all blocks gives every policy the endless ratio",
        arguments: EvictionPolicyName.allCases
    )
    func endless(policy: EvictionPolicyName) {
        let trace = Self.conversations()
        var seen: Set<UInt32> = []
        var hits = 0
        for request in 0..<trace.requestCount {
            let chain = trace.blocks[trace.range(of: request)]
            hits += chain.prefix { seen.contains($0) }.count
            seen.formUnion(chain)
        }
        #expect(policy.replay(trace, capacity: trace.uniqueBlockCount).hitCount == hits)
        #expect(OptimalReplay.run(trace, capacity: trace.uniqueBlockCount).hitCount == hits)
    }

    @Test("nobody beats the optimum", arguments: EvictionPolicyName.allCases)
    func optimum(policy: EvictionPolicyName) {
        let trace = Self.conversations()
        for capacity in [50, 2_000] {
            let best = OptimalReplay.run(trace, capacity: capacity).hitCount
            for order in PutOrder.allCases {
                #expect(policy.replay(trace, capacity: capacity, order: order).hitCount <= best)
            }
        }
    }

    @Test("the optimum keeps what is needed soonest")
    func optimumByHand() {
        var trace = Trace()
        for block in [UInt64(1), 2, 3, 1, 2, 3, 1, 2, 3] { trace.append([block]) }
        // Two places: of three blocks in turn, two are kept and hit twice each.
        #expect(OptimalReplay.run(trace, capacity: 2).hitCount == 4)
        #expect(EvictionPolicyName.lru.replay(trace, capacity: 2).hitCount == 0)
    }

    @Test(
        "on conversations the forecast is never two points behind the best of the others",
        arguments: [50.0, 200, 1_000]
    )
    func conversations(pause: Double) {
        let trace = Self.conversations { $0.pause = pause }
        for capacity in [500, 2_000, 5_000] {
            let forecast = EvictionPolicyName.forecast.replay(trace, capacity: capacity).hitRatio
            for policy in EvictionPolicyName.allCases {
                let other = policy.replay(trace, capacity: capacity).hitRatio
                #expect(
                    forecast >= other - 0.02,
                    "\(policy) \(other), forecast \(forecast), \(capacity) blocks, seed \(Self.seed)"
                )
            }
        }
    }

    @Test("the order of the puts does not matter much to the forecast")
    func putOrder() {
        let trace = Self.conversations()
        for capacity in [500, 4_000] {
            let tail = EvictionPolicyName.forecast.replay(trace, capacity: capacity).hitRatio
            let head = EvictionPolicyName.forecast.replay(trace, capacity: capacity, order: .headFirst)
                .hitRatio
            #expect(abs(tail - head) < 0.03, "\(tail) \(head) \(capacity)")
        }
    }

    @Test("without places the forecast is no worse than LRU and S3-FIFO on skewed popularity")
    func plainKeys() {
        var random = SeededRandom(seed: Self.seed)
        var trace = Trace()
        for _ in 0..<30_000 {
            // Inverse of a power law: block n with a chance of about 1/n.
            let exponent = Double.random(in: 0..<14, using: &random)
            let block = UInt64(exponent < 1 ? 0 : exponent * exponent * exponent)
            trace.append([block])
        }
        for capacity in [50, 200, 1_000] {
            let forecast = EvictionPolicyName.forecast.replay(trace, capacity: capacity, knowsChains: false)
            for policy in [EvictionPolicyName.lru, .s3FIFO] {
                let other = policy.replay(trace, capacity: capacity, knowsChains: false)
                #expect(
                    forecast.hitRatio >= other.hitRatio - 0.01,
                    "\(policy) \(other.hitRatio), forecast \(forecast.hitRatio)"
                )
            }
        }
    }
}
