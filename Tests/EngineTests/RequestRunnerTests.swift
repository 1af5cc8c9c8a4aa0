import Blocks
import Synchronization
import Testing

@testable import Engine

@Suite("A request")
struct RequestRunnerTests {
    private static let prompt = TestModels.tokens(100)

    @Test(
        "answered with what another worker stored gives the same logits and tokens, and computes only the rest"
    )
    func reuse() async throws {
        let cache = MemoryExchange()
        let first = try await Self.run(cache)
        #expect(first.reusedTokenCount == 0)
        #expect(first.computedTokenCount == 100)
        // 100 prompt tokens and all but the last of 8 new ones make six whole blocks.
        #expect(first.stored == StoreCount(stored: 6))
        cache.moveToDisk(from: 2)
        let second = try await Self.run(cache)
        #expect(second.memoryTokenCount == 32)
        #expect(second.diskTokenCount == 64)
        #expect(second.computedTokenCount == 4)
        #expect(second.stored == StoreCount())
        #expect(second.logitsDigest == first.logitsDigest)
        #expect(second.newTokens == first.newTokens)
        #expect(cache.openLeaseCount == 0)
    }

    @Test("whose prompt is all whole blocks still computes the last block")
    func wholeBlocks() async throws {
        let cache = MemoryExchange()
        let prompt = Array(Self.prompt.prefix(64))
        let first = try await Self.run(cache, prompt)
        let second = try await Self.run(cache, prompt)
        #expect(first.stored.stored == 4)
        #expect(second.reusedTokenCount == 48)
        #expect(second.stored == StoreCount(existing: 1))
        #expect(second.logitsDigest == first.logitsDigest)
    }

    @Test("goes on with what arrived when the cache delivers less than it promised", arguments: 0...5)
    func brokenPromise(deliveredCount: Int) async throws {
        let cache = MemoryExchange()
        let first = try await Self.run(cache)
        cache.deliver(atMost: deliveredCount)
        let second = try await Self.run(cache)
        #expect(second.reusedTokenCount == 16 * deliveredCount)
        #expect(second.logitsDigest == first.logitsDigest)
        #expect(cache.openLeaseCount == 0)
    }

    @Test("moves blocks in several transfers when they exceed the memory lent to one")
    func severalTransfers() async throws {
        let cache = MemoryExchange()
        let first = try await Self.run(cache, transferBlockCount: 4)
        let second = try await Self.run(cache, transferBlockCount: 4)
        #expect(first.stored.stored == 6)
        #expect(second.reusedTokenCount == 96)
        #expect(second.logitsDigest == first.logitsDigest)
        #expect(cache.largestTransfer == 4)
    }

    @Test("of another salt, model, number format or block length shares nothing", arguments: 0..<4)
    func separation(difference: Int) async throws {
        let cache = MemoryExchange()
        _ = try await Self.run(cache)
        var options = Self.options
        if difference == 0 { options.cacheSalt = "other" }
        let engine = try Engine(TestModels.odd, seed: difference == 1 ? 8 : 7) {
            if difference == 2 { $0.elementType = .bfloat16 }
            if difference == 3 { $0.tokensPerBlock = 20 }
        }
        let runner = RequestRunner(engine, exchange: cache.inNamespace(try engine.namespaceDescription().id))
        let outcome = try await runner.run(Self.prompt, options)
        #expect(outcome.reusedTokenCount == 0)
    }

    @Test("that must not reuse or store leaves the cache alone")
    func aloof() async throws {
        let cache = MemoryExchange()
        _ = try await Self.run(cache)
        var options = Self.options
        (options.reuses, options.stores) = (false, false)
        let before = cache.callCount
        let outcome = try await Self.run(cache, options: options)
        #expect(outcome.reusedTokenCount == 0)
        #expect(cache.callCount == before)
    }

    @Test("of a conversation reuses the earlier turns with their answers")
    func turns() async throws {
        let cache = MemoryExchange()
        let first = try await Self.run(cache)
        let second = Self.prompt + first.newTokens + TestModels.tokens(30, seed: 9)
        let outcome = try await Self.run(cache, second)
        // 107 of the first turn's tokens have keys and values.
        #expect(outcome.reusedTokenCount == 96)
        let third = second + outcome.newTokens + TestModels.tokens(5, seed: 10)
        #expect(try await Self.run(cache, third).reusedTokenCount == 144)
        #expect(
            try await Self.run(MemoryExchange(), third).logitsDigest == Self.run(cache, third).logitsDigest
        )
    }

    @Test("stops at the end of the context, at the wanted length, and at an end token")
    func limits() async throws {
        var options = Self.options
        options.newTokenCountMax = 0
        #expect(try await Self.run(MemoryExchange(), options: options).newTokens.isEmpty)
        options.newTokenCountMax = 10
        let long = TestModels.tokens(398)
        #expect(try await Self.run(MemoryExchange(), long, options: options).newTokens.count == 3)
        await #expect(throws: EngineError.self) {
            try await Self.run(MemoryExchange(), TestModels.tokens(401))
        }
        await #expect(throws: EngineError.self) { try await Self.run(MemoryExchange(), []) }
        let free = try await Self.run(MemoryExchange(), options: options).newTokens
        var configuration = TestModels.odd
        configuration.endTokens = [free[4]]
        let stopped = try Engine(configuration)
        let outcome = try await RequestRunner(stopped, exchange: NoExchange()).run(Self.prompt, options)
        #expect(outcome.newTokens == Array(free.prefix { $0 != free[4] }))
    }

    private static var options: RequestOptions {
        var options = RequestOptions()
        options.newTokenCountMax = 8
        return options
    }

    /// Runs a request in an engine of its own, as a process of its own would.
    private static func run(
        _ cache: MemoryExchange,
        _ prompt: [UInt32] = prompt,
        options: RequestOptions = options,
        transferBlockCount: Int? = nil
    ) async throws -> RequestOutcome {
        let engine = try Engine(TestModels.odd)
        let exchange = cache.inNamespace(try engine.namespaceDescription().id)
        let runner = RequestRunner(engine, exchange: exchange, transferBlockCount: transferBlockCount)
        return try await runner.run(prompt, options)
    }
}

/// A cache in a dictionary.
private final class MemoryExchange: Sendable {
    private struct State {
        var blocks: [[UInt8]: [UInt8]] = [:]
        var order: [[UInt8]] = []
        var diskKeys: Set<[UInt8]> = []
        var deliveredCountMax = Int.max
        var leases: Set<UInt64> = []
        var nextLease: UInt64 = 1
        var callCount = 0
        var largestTransfer = 0
    }

    private let state = Mutex(State())

    var openLeaseCount: Int { state.withLock { $0.leases.count } }
    var callCount: Int { state.withLock { $0.callCount } }
    var largestTransfer: Int { state.withLock { $0.largestTransfer } }

    func moveToDisk(from index: Int) { state.withLock { $0.diskKeys = Set($0.order[index...]) } }
    func deliver(atMost count: Int) { state.withLock { $0.deliveredCountMax = count } }
    func inNamespace(_ namespace: NamespaceID) -> Space { Space(cache: self, namespace: namespace.bytes) }

    struct Space: BlockExchange {
        let cache: MemoryExchange
        let namespace: [UInt8]

        func match(_ keys: KeyBatch) async -> BlockMatch {
            cache.state.withLock { state in
                state.callCount += 1
                let held = (0..<keys.count).map { namespace + keys.bytes(at: $0) }.prefix {
                    state.blocks[$0] != nil
                }
                state.nextLease += 1
                state.leases.insert(state.nextLease)
                return BlockMatch(
                    tiers: held.map { state.diskKeys.contains($0) ? .disk : .memory },
                    lease: state.nextLease
                )
            }
        }

        func load(_ keys: KeyBatch, lease: UInt64?, into buffer: BlockBuffer) async -> Int {
            cache.state.withLock { state in
                guard let lease, state.leases.contains(lease) else { return 0 }
                state.callCount += 1
                state.largestTransfer = max(state.largestTransfer, keys.count)
                let count = min(keys.count, state.deliveredCountMax)
                for index in 0..<keys.count {
                    let block = index < count ? state.blocks[namespace + keys.bytes(at: index)] ?? [] : []
                    // What did not arrive leaves garbage behind.
                    let bytes = block.isEmpty ? [UInt8](repeating: 0xff, count: buffer.blockByteCount) : block
                    unsafe buffer[index].copyBytes(from: bytes)
                }
                return count
            }
        }

        func store(_ keys: KeyBatch, from buffer: BlockBuffer, tokenCount: Int) async -> StoreCount {
            cache.state.withLock { state in
                state.callCount += 1
                state.largestTransfer = max(state.largestTransfer, keys.count)
                var count = StoreCount()
                for index in 0..<keys.count {
                    let key = namespace + keys.bytes(at: index)
                    let bytes = unsafe Array(buffer[index])
                    if let held = state.blocks[key] {
                        #expect(held == bytes)
                        count.existing += 1
                    } else {
                        state.blocks[key] = bytes
                        state.order.append(key)
                        count.stored += 1
                    }
                }
                return count
            }
        }

        func release(_ lease: UInt64) async {
            cache.state.withLock { _ = $0.leases.remove(lease) }
        }
    }
}
