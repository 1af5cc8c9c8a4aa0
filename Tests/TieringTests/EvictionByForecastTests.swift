import Blocks
import Eviction
import MemoryTier
import TestSupport
import Testing
import TraceReplay

@testable import Tiering

@Suite("eviction in a store of chains")
struct EvictionByForecastTests {
    private static let seed: UInt64 = 23
    private static let payloadByteCount = 10 << 10

    @Test(
        "a store that is asked and filled like an engine does reaches the simulator's hit ratio",
        arguments: [EvictionPolicyName.forecast, .lru]
    )
    func hitRatio(policy: EvictionPolicyName) throws {
        let requests = ConversationWorkload().requests(1_500, seed: Self.seed)
        let store = try Self.store(policy)
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        var result = ReplayResult()
        var heldCount = 0
        for chain in requests {
            let keys = try batch(chain)
            let matched = store.match(
                space,
                keys: keys,
                lease: nil,
                prefetches: false,
                owner: LeaseOwner(connectionID: 1)
            ).tiers.count
            result.blockCount += chain.count
            result.hitCount += matched
            for number in chain[..<matched] { #expect(try store.isInMemory(space, number)) }
            for number in chain[matched...] {
                _ = try store.put(space, number, content(number, byteCount: Self.payloadByteCount))
            }
            heldCount = max(heldCount, store.blockCount(space))
        }
        var trace = Trace()
        for chain in requests { trace.append(chain.lazy.map { UInt64($0) }) }
        let simulated = policy.replay(trace, capacity: heldCount, order: .headFirst).hitRatio
        let figures = "\(policy): store \(result.hitRatio), simulator \(simulated), \(heldCount) blocks"
        #expect(abs(result.hitRatio - simulated) < 0.02, "\(figures), seed \(Self.seed)")
        guard policy == .forecast else { return }
        // What the policy makes of the places shows only if they reach it.
        let blind = policy.replay(trace, capacity: heldCount, order: .headFirst, knowsChains: false).hitRatio
        #expect(result.hitRatio > (simulated + blind) / 2, "\(figures), without places \(blind)")
    }

    @Test("a put takes the place that the question about its chain left, once")
    func places() throws {
        let places = ChainPlaces()
        let prefix = KeyPrefix(words: SIMD2(1, 2))
        var random = SeededRandom(seed: Self.seed)
        var identities: [BlockIdentity] = []
        for _ in 0..<1_000 {
            identities.append(BlockIdentity(prefix: prefix, digest: SIMD2(random.next(), random.next())))
        }
        let request = places.nextRequest(blockCount: 1_000)
        var asked: [(identity: BlockIdentity, place: ChainPlace)] = []
        for (index, identity) in identities.enumerated() {
            asked.append((identity, request.place(at: index)))
        }
        places.remember(asked)
        var found = 0
        for (index, identity) in identities.enumerated() {
            guard let place = places.take(identity) else { continue }
            found += 1
            #expect(place == request.place(at: index))
            #expect(places.take(identity) == nil)
        }
        #expect(found > 980, "\(found) of 1000")
    }

    @Test("each question about a chain has a number of its own")
    func numbers() {
        let places = ChainPlaces()
        let first = places.nextRequest(blockCount: 3)
        let second = places.nextRequest(blockCount: 3)
        #expect(first.number != second.number)
        #expect(second.place(at: 2).isLast)
    }

    private static func store(_ policy: EvictionPolicyName) throws -> BlockStore {
        try BlockStore(
            memory: MemoryTierConfiguration(
                byteCount: 16 << 20,
                blockCountMax: 65_536,
                prefaults: false,
                policy: policy
            ),
            disk: nil,
            secret: try NodeSecret(bytes: Array(0..<32)),
            directory: nil
        )
    }
}
