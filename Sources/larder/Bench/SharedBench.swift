internal import Blocks
internal import Histogram
internal import LarderClient
internal import Synchronization

/// The ways to read blocks of a node on this host, measured in turn.
final class SharedBench: Sendable {
    /// One way to get at blocks.
    enum Way: String, CaseIterable, Sendable {
        case memcpy
        case lentCopy = "lent-copy"
        case lentRead = "lent-read"
        case socket
        case copied
        case inPlace = "in-place"
        case borrowed
        case stored
        case placed
        case redis
    }

    /// What one way gave in all rounds.
    struct Result: Sendable {
        let way: Way
        var rounds: [BenchFigures] = []

        /// Whether payload bytes were read.
        var movesPayloads: Bool { way != .borrowed }
    }

    private let sharing: LarderClient
    private let plain: LarderClient
    private let redis: (server: BenchServer, workload: BenchWorkload)?
    private let payloads: BenchPayloads
    private let namespace: NamespaceID
    /// Where the blocks go that are stored while it is measured: cleared each time, so that they evict no others.
    private let writtenNamespace: NamespaceID
    private let keyCount: Int
    private let batch: Int
    private let memory: SharedBenchMemory
    private let storedCount = Mutex(0)

    /// Connects and stores the blocks.
    init(
        path: String,
        redis: BenchServer?,
        byteCount: Int,
        keyCount: Int,
        batch: Int,
        seed: UInt64
    ) async throws {
        var configuration = LarderClientConfiguration(endpoint: .unix(path: path))
        configuration.connectionCount = 2
        configuration.lookupTimeout = .seconds(20)
        configuration.loadTimeout = .seconds(20)
        configuration.storeTimeout = .seconds(20)
        sharing = LarderClient(configuration)
        configuration.usesSharedMemory = false
        plain = LarderClient(configuration)
        let payloads = BenchPayloads(byteCount: byteCount, count: keyCount, seed: seed)
        self.payloads = payloads
        self.keyCount = keyCount
        self.batch = batch
        memory = SharedBenchMemory(byteCount: byteCount, count: batch)
        let run = String(BenchClock.now(), radix: 36)
        let description = try NamespaceDescription(
            json: Array(#"{"engine":"larder-bench","model":"shared","revision":"\#(run)"}"#.utf8)
        )
        namespace = sharing.describe(description)
        plain.describe(description)
        let written = try NamespaceDescription(
            json: Array(#"{"engine":"larder-bench","model":"shared writes","revision":"\#(run)"}"#.utf8)
        )
        writtenNamespace = sharing.describe(written)
        plain.describe(written)
        self.redis = redis.map { server in
            let plan = BenchCase(
                operation: .get,
                byteCount: byteCount,
                keyCount: keyCount,
                // More in one pipeline make it no faster, and an operation longer than a round is not counted.
                batch: min(batch, 8),
                concurrency: BenchConcurrency(connectionCount: 1, depth: 1),
                readPercent: 100,
                verifiesInside: false
            )
            return (server, BenchWorkload(plan: plan, payloads: payloads, run: run))
        }
        try await fill()
    }

    private func fill() async throws {
        guard await plain.ping(timeout: .seconds(5)) else {
            throw CommandFailure(.unavailable, "no node answers there")
        }
        guard await sharing.borrow(namespace, keys: try keys(0..<1)) != nil else {
            throw CommandFailure(.unavailable, "the node does not share its memory with this process")
        }
        for index in 0..<keyCount {
            let outcomes = await unsafe plain.store(
                namespace,
                keys: try keys(index..<(index + 1)),
                payloads: [payloads.payload(index)]
            )
            guard outcomes.first?.isHeld == true else {
                throw CommandFailure(.unavailable, "the node did not take a block: \(outcomes)")
            }
        }
        if let redis { try redis.server.fill(redis.workload) }
    }

    /// Measures every way once a round.
    func run(rounds: Int, nanoseconds: UInt64) async throws -> [Result] {
        let canPlace = try await canPlace()
        var results = Way.allCases.filter { $0 != .redis || redis != nil }.filter {
            $0 != .placed || canPlace
        }
        .map { Result(way: $0) }
        for round in 0..<rounds {
            for index in results.indices {
                // The first of each way is not counted: connections are made, pages are touched.
                if round == 0 { _ = try await measure(results[index].way, nanoseconds / 4) }
                results[index].rounds.append(try await measure(results[index].way, nanoseconds))
            }
        }
        return results
    }

    /// Takes the blocks away.
    func clean() async {
        _ = try? await plain.admin.clear(namespace)
        _ = try? await plain.admin.clear(writtenNamespace)
        if let redis { try? redis.server.clean(redis.workload) }
    }

    private func measure(_ way: Way, _ nanoseconds: UInt64) async throws -> BenchFigures {
        if way == .redis, let redis {
            let round = BenchRound(
                server: redis.server,
                workload: redis.workload,
                length: .time(nanoseconds),
                warmup: nanoseconds / 10,
                seed: 1
            )
            return try round.run().figures
        }
        let batches = try (0..<(keyCount / batch)).map { try keys(($0 * batch)..<(($0 + 1) * batch)) }
        let held = [.lentCopy, .lentRead].contains(way) ? try await borrow(keys(0..<keyCount)) : nil
        var tally = BenchTally()
        let start = BenchClock.now()
        var now = start
        var number = 0
        while now < start &+ nanoseconds {
            let index = number % batches.count
            try await perform(way, batches[index], first: index * batch, held)
            let end = BenchClock.now()
            tally.latencies.record(end &- now)
            tally.operationCount += 1
            tally.keyCount += batch
            tally.payloadByteCount += batch * payloads.byteCount
            now = end
            number += 1
        }
        if way == .stored || way == .placed { _ = try await plain.admin.clear(writtenNamespace) }
        return BenchFigures(tally, nanoseconds: now &- start)
    }

    /// Does it once; `held` has all blocks for the ways that only use the node's memory.
    private func perform(_ way: Way, _ keys: KeyBatch, first: Int, _ held: BorrowedBlocks?) async throws {
        switch way {
        case .memcpy, .redis:
            for index in 0..<batch {
                // SAFETY: both have the payload's length, and are apart.
                unsafe memory.regions[index].copyMemory(from: payloads.payload(first + index))
            }
        case .lentCopy, .lentRead:
            for index in first..<(first + batch) {
                let region = unsafe memory.regions[index - first]
                let isThere: Void? = held?.withPayload(at: index, provesChecksum: way == .lentRead) {
                    payload in
                    guard way == .lentCopy else { return }
                    // SAFETY: both have the payload's length, and are apart.
                    unsafe payload.withUnsafeBytes { unsafe region.copyMemory(from: $0) }
                }
                guard isThere != nil else { throw Self.wrongBytes() }
            }
        case .socket: try await load(plain, keys)
        case .copied: try await load(sharing, keys)
        case .inPlace: try await read(keys, provesChecksum: true)
        case .borrowed: try await read(keys, provesChecksum: false)
        case .stored: try await store(plain, first: first)
        case .placed: try await store(sharing, first: first)
        }
    }

    /// Whether the node lets its memory be written; asked by storing until the connections have been given it.
    private func canPlace() async throws -> Bool {
        guard payloads.byteCount * batch >= 128 << 10 else { return false }
        for _ in 0..<8 { try await store(sharing, first: 0) }
        _ = try await plain.admin.clear(writtenNamespace)
        return sharing.statistics.sharedStoreCount > 0
    }

    /// Stores blocks under names that are new each time.
    private func store(_ client: LarderClient, first: Int) async throws {
        let number = storedCount.withLock { count in
            count += batch
            return count
        }
        let names = KeyBatch(try (0..<batch).map { try BlockKey(Array("bench:w:\(number + $0)".utf8)) })
        let outcomes = await unsafe client.store(
            writtenNamespace,
            keys: names,
            payloads: (0..<batch).map { unsafe payloads.payload((first + $0) % keyCount) }
        )
        guard outcomes.allSatisfy({ $0 == .stored }) else {
            throw CommandFailure(.unavailable, "the node did not take a block: \(outcomes)")
        }
    }

    private func load(_ client: LarderClient, _ keys: KeyBatch) async throws {
        let result = await unsafe client.load(namespace, keys: keys, into: memory.regions)
        guard result.isComplete else { throw CommandFailure(.unavailable, "a block could not be loaded") }
    }

    private func read(_ keys: KeyBatch, provesChecksum: Bool) async throws {
        let loan = try await borrow(keys)
        guard provesChecksum else { return }
        for index in 0..<loan.count where loan.withPayload(at: index, { _ in true }) != true {
            throw Self.wrongBytes()
        }
    }

    private func borrow(_ keys: KeyBatch) async throws -> BorrowedBlocks {
        guard let loan = await sharing.borrow(namespace, keys: keys), loan.lentPrefixCount == keys.count
        else {
            throw CommandFailure(
                .unavailable,
                "the node did not lend all blocks: together they must fit in half of its memory"
            )
        }
        return loan
    }

    private static func wrongBytes() -> CommandFailure {
        CommandFailure(.unavailable, "a block's bytes in the node's memory were not what was stored")
    }

    private func keys(_ range: Range<Int>) throws -> KeyBatch {
        KeyBatch(try range.map { try BlockKey(Array("bench:\($0)".utf8)) })
    }
}

/// Where payloads go: touched before anything is measured.
@safe final class SharedBenchMemory: @unchecked Sendable {
    // SAFETY of @unchecked Sendable: one call at a time is given the regions.
    let regions: [UnsafeMutableRawBufferPointer]

    init(byteCount: Int, count: Int) {
        unsafe regions = (0..<count).map { _ in unsafe BenchMemory.allocate(byteCount: byteCount) }
    }

    deinit { unsafe regions.forEach { unsafe $0.deallocate() } }
}
