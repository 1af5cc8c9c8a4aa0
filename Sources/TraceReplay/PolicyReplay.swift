package import Eviction

/// A cache of equal blocks that asks a policy what to evict, fed with a trace.
///
/// A request looks its chain up; what is held up to the first hole is a hit. Then its blocks are touched from the last
/// to the first, and those that are missing are put.
package struct PolicyReplay<Policy: EvictionPolicy> {
    private static var none: UInt32 { .max }

    private let trace: Trace
    private let capacity: Int
    private let order: PutOrder
    private let knowsChains: Bool
    private var policy: Policy
    /// The slot of each block, the block of each slot.
    private var slots: [UInt32]
    private var blocks: [UInt32] = []
    private var result = ReplayResult()

    /// An empty cache.
    ///
    /// - Parameters:
    ///   - capacity: blocks that it holds, at least 1.
    ///   - knowsChains: Whether the policy is told where blocks stand in their requests.
    package init(_ trace: Trace, capacity: Int, order: PutOrder = .tailFirst, knowsChains: Bool = true) {
        self.trace = trace
        self.capacity = max(1, capacity)
        self.order = order
        self.knowsChains = knowsChains
        policy = Policy(slotCount: max(1, min(capacity, trace.uniqueBlockCount)))
        slots = [UInt32](repeating: Self.none, count: trace.uniqueBlockCount)
    }

    /// Feeds the whole trace; `progress` is called now and then with the requests done.
    package mutating func run(progress: (_ requestCount: Int) -> Void = { _ in }) -> ReplayResult {
        result = ReplayResult()
        for request in 0..<trace.requestCount {
            if request & 1_023 == 0 { progress(request) }
            replay(request)
        }
        return result
    }

    /// The policy as the trace left it.
    package var endState: Policy { policy }

    private mutating func replay(_ request: Int) {
        let chain = trace.range(of: request)
        let hole = chain.first { slots[Int(trace.blocks[$0])] == Self.none } ?? chain.upperBound
        result.blockCount += chain.count
        result.hitCount += hole - chain.lowerBound
        switch order {
        case .tailFirst:
            for place in chain.reversed() { use(place, of: request, chain) }
        case .headFirst:
            for place in (chain.lowerBound..<hole).reversed() { use(place, of: request, chain) }
            for place in hole..<chain.upperBound { use(place, of: request, chain) }
        }
    }

    private mutating func use(_ index: Int, of request: Int, _ chain: Range<Int>) {
        let block = trace.blocks[index]
        var place: ChainPlace?
        if knowsChains {
            place = ChainPlace(
                request: UInt32(truncatingIfNeeded: request),
                position: UInt32(truncatingIfNeeded: index - chain.lowerBound),
                requestBlockCount: UInt32(truncatingIfNeeded: chain.count)
            )
        }
        let slot = slots[Int(block)]
        guard slot == Self.none else { return policy.touched(slot, at: place) }
        let free = takeSlot()
        slots[Int(block)] = free
        blocks[Int(free)] = block
        policy.inserted(
            free,
            BlockTraits(identityBits: Self.identityBits(of: block), byteCount: 1, place: place)
        )
    }

    private mutating func takeSlot() -> UInt32 {
        guard blocks.count >= capacity, let victim = policy.victim() else {
            blocks.append(Self.none)
            return UInt32(truncatingIfNeeded: blocks.count - 1)
        }
        policy.removed(victim, isEviction: true)
        slots[Int(blocks[Int(victim)])] = Self.none
        return victim
    }

    /// Uniform bits from a number, as a digest would give (SplitMix64).
    private static func identityBits(of block: UInt32) -> UInt64 {
        var bits = (UInt64(block) + 1) &* 0x9e37_79b9_7f4a_7c15
        bits = (bits ^ bits >> 30) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ bits >> 27) &* 0x94d0_49bb_1331_11eb
        return bits ^ bits >> 31
    }
}

extension PolicyReplay {
    /// The policy by its name, over a whole trace.
    package static func run(
        _ trace: Trace,
        capacity: Int,
        order: PutOrder = .tailFirst,
        knowsChains: Bool = true,
        progress: (_ requestCount: Int) -> Void = { _ in }
    ) -> ReplayResult {
        var replay = PolicyReplay(trace, capacity: capacity, order: order, knowsChains: knowsChains)
        return replay.run(progress: progress)
    }
}

extension EvictionPolicyName {
    /// Replays a trace with this policy.
    package func replay(
        _ trace: Trace,
        capacity: Int,
        order: PutOrder = .tailFirst,
        knowsChains: Bool = true,
        progress: (_ requestCount: Int) -> Void = { _ in }
    ) -> ReplayResult {
        switch self {
        case .forecast:
            PolicyReplay<ForecastPolicy>
                .run(trace, capacity: capacity, order: order, knowsChains: knowsChains, progress: progress)
        case .lru:
            PolicyReplay<LRUPolicy>
                .run(trace, capacity: capacity, order: order, knowsChains: knowsChains, progress: progress)
        case .sieve:
            PolicyReplay<SievePolicy>
                .run(trace, capacity: capacity, order: order, knowsChains: knowsChains, progress: progress)
        case .s3FIFO:
            PolicyReplay<S3FIFOPolicy>
                .run(trace, capacity: capacity, order: order, knowsChains: knowsChains, progress: progress)
        case .wTinyLFU:
            PolicyReplay<WTinyLFUPolicy>
                .run(trace, capacity: capacity, order: order, knowsChains: knowsChains, progress: progress)
        }
    }
}
