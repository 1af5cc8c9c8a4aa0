import Blocks
import LarderClient
import Logging
import Node
import TestSupport
import Testing

@Suite("Client and a real node")
struct RealNodeTests {
    /// Runs `body` against a node of its own.
    private func withNode(
        unixPath: String? = nil,
        directory: String? = nil,
        _ body: (ClientUnderTest) async throws -> Void
    ) async throws {
        var configuration = NodeConfiguration()
        configuration.port = unixPath == nil ? 0 : nil
        configuration.unixPath = unixPath
        configuration.memoryByteCount = 64 << 20
        configuration.dataDirectory = directory
        configuration.diskByteCount = directory == nil ? 0 : 256 << 20
        configuration.prefaults = false
        let node = try Node(configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let addresses = try await node.start()
        let endpoint =
            unixPath.map { LarderEndpoint.unix(path: $0) }
            ?? .tcp(host: "127.0.0.1", port: UInt16(addresses.port ?? 0))
        let patience = Duration.seconds(10)
        do {
            try await body(ClientUnderTest(endpoint, lookup: patience, load: patience, store: patience))
        } catch {
            await node.drainAndStop()
            throw error
        }
        await node.drainAndStop()
    }

    @Test("what was stored is matched, leased, loaded with equal bytes, explained and deleted")
    func roundTrip() async throws {
        try await withNode { subject in
            let client = subject.client
            var random = SeededRandom(seed: 5)
            let sizes = [1, 4_096, 100_000, 2 << 20]
            let contents = sizes.map { random.bytes($0) }
            let memory = contents.map { content in
                let region = Region(content.count)
                unsafe region.buffer.copyBytes(from: content)
                return region
            }
            let keys = try ClientUnderTest.keys(sizes.count)
            let payloads = unsafe memory.map { unsafe UnsafeRawBufferPointer($0.buffer) }
            let options = StoreOptions(tokenCount: 16, timeToLive: .seconds(600))
            let first = await unsafe client.store(
                subject.namespace,
                keys: keys,
                payloads: payloads,
                options: options
            )
            #expect(first == Array(repeating: .stored, count: sizes.count))
            let again = await unsafe client.store(
                subject.namespace,
                keys: keys,
                payloads: payloads,
                options: options
            )
            #expect(again == Array(repeating: .exists, count: sizes.count))

            let match = await client.match(
                subject.namespace,
                keys: try ClientUnderTest.keys(6),
                lease: .seconds(30),
                prefetches: true
            )
            #expect(match.tiers == Array(repeating: .memory, count: sizes.count))
            let lease = try #require(match.leaseID)
            for region in memory { region.fill(0) }
            let loaded = await unsafe client.load(
                subject.namespace,
                keys: keys,
                lease: lease,
                into: memory.map { unsafe $0.buffer }
            )
            #expect(loaded.isComplete)
            #expect(zip(memory, contents).allSatisfy { $0.bytes == $1 })
            #expect(await client.release(lease: lease))
            #expect(await !client.release(lease: lease))

            #expect(
                await client.pin(subject.namespace, keys: keys, timeToLive: .seconds(60)).count == sizes.count
            )
            #expect(await client.unpin(subject.namespace, keys: keys).count == sizes.count)
            #expect(await client.prefetch(subject.namespace, keys: keys).count == 0)
            #expect(try await client.admin.stats(subject.namespace).isEmpty == false)
            #expect(try await client.admin.stats().isEmpty == false)
            #expect(
                try await client.admin.explain(subject.namespace, keys: keys).allSatisfy {
                    $0.hasPrefix("memory")
                }
            )
            #expect(try await client.admin.hot(subject.namespace, limit: 3).first?.keys.count == sizes.count)
            #expect(await client.delete(subject.namespace, keys: keys) == KeyCount(sizes.count))
            #expect(await client.match(subject.namespace, keys: keys) == .none)
            #expect(try await client.admin.clear(subject.namespace) == 0)
            #expect(client.statistics.failureCounts.isEmpty)
        }
    }

    @Test("a Unix socket, other bytes under the same key, and a payload that does not fit its region")
    func differences() async throws {
        let directory = try TemporaryDirectory()
        try await withNode(unixPath: "\(directory.path)/s") { subject in
            let keys = try ClientUnderTest.keys(1)
            let memory = Region(1_000)
            let payloads = unsafe [UnsafeRawBufferPointer(memory.buffer)]
            #expect(
                await unsafe subject.client.store(subject.namespace, keys: keys, payloads: payloads) == [
                    .stored
                ]
            )
            memory.fill(1)
            let other = await unsafe subject.client.store(subject.namespace, keys: keys, payloads: payloads)
            #expect(other.first?.isHeld == false)
            let small = Region(999)
            let loaded = await unsafe subject.client.load(
                subject.namespace,
                keys: keys,
                into: [unsafe small.buffer]
            )
            #expect(loaded == .none(count: 1))
            #expect(small.bytes == [UInt8](repeating: 0xee, count: 999))
        }
    }

    @Test("a durable store and one that pins are taken; tools load into arrays")
    func durable() async throws {
        let directory = try TemporaryDirectory()
        try await withNode(directory: directory.path) { subject in
            let keys = try ClientUnderTest.keys(2)
            let options = StoreOptions(isDurable: true, isPinned: true)
            let outcomes = try await subject.client.admin.store(
                subject.namespace,
                keys: keys,
                payloads: [[1, 2, 3], [4]],
                options: options,
                timeout: .seconds(20)
            )
            #expect(outcomes == [.stored, .stored])
            let loaded = try await subject.client.admin.load(subject.namespace, keys: ClientUnderTest.keys(3))
            #expect(loaded == [[1, 2, 3], [4], nil])
        }
    }

    @Test("a namespace that was never described is an error for tools and a miss for engines")
    func neverDescribed() async throws {
        try await withNode { subject in
            let other = try NamespaceDescription(json: Array(#"{"model":"other"}"#.utf8)).id
            let keys = try ClientUnderTest.keys(1)
            #expect(await subject.client.match(other, keys: keys) == .none)
            await #expect(throws: LarderClientError.self) {
                try await subject.client.admin.match(other, keys: keys)
            }
        }
    }
}
