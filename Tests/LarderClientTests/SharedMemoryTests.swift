import Blocks
import LarderClient
import Node
import TestSupport
import Testing

@Suite("The node's memory, read in place")
struct SharedMemoryTests {
    private static let patience = Duration.seconds(20)

    private func keys(_ numbers: Range<Int>) throws -> KeyBatch {
        KeyBatch(try numbers.map { try BlockKey(Array("key-\($0)".utf8)) })
    }

    private func store(_ subject: ClientUnderTest, _ contents: [[UInt8]], from first: Int = 0) async throws {
        let regions = contents.map { content in
            let region = Region(content.count)
            unsafe region.buffer.copyBytes(from: content)
            return region
        }
        let outcomes = await unsafe subject.client.store(
            subject.namespace,
            keys: try keys(first..<(first + contents.count)),
            payloads: regions.map { unsafe UnsafeRawBufferPointer($0.buffer) }
        )
        #expect(outcomes.allSatisfy { $0 == .stored })
    }

    @Test("loads on a Unix socket are copied out of it, with equal bytes; holes are misses")
    func load() async throws {
        try await LocalNode.with { node in
            let subject = try ClientUnderTest(.unix(path: node.unixPath))
            var random = SeededRandom(seed: 5)
            let contents = [1, 4_096, 70_000, 1 << 20, 3 << 20].map { random.bytes($0) }
            try await store(subject, contents)
            for _ in 0..<20 {
                let memory = contents.map { Region($0.count) } + [Region(10)]
                let result = try await unsafe subject.client.load(
                    subject.namespace,
                    keys: keys(0..<6),
                    into: memory.map { unsafe $0.buffer }
                )
                #expect(result.isLoaded == [true, true, true, true, true, false])
                for (region, content) in zip(memory, contents) { #expect(region.bytes == content) }
            }
            // The first loads meet connections that have not been given the memory yet.
            #expect(subject.client.statistics.sharedLoadCount >= 10)
            #expect(subject.client.statistics.damagedPayloadCount == 0)
            try await node.expectFigure("memory_leased_bytes", 0)
        }
    }

    @Test(
        "stores are written in place where the node shares writes, and read back by everybody with equal bytes"
    )
    func stored() async throws {
        try await LocalNode.with(sharesWrites: true) { node in
            let subject = try ClientUnderTest(.unix(path: node.unixPath))
            let plain = try ClientUnderTest(.unix(path: node.unixPath)) { $0.usesSharedMemory = false }
            // The first call on each connection attaches it.
            try await attached(subject)
            var random = SeededRandom(seed: 6)
            for round in 0..<10 {
                let contents = [1, 4_096, 70_000, 1 << 20, 3 << 20].map { random.bytes($0) }
                try await store(subject, contents, from: round * 10)
                let memory = contents.map { Region($0.count) }
                let result = try await unsafe plain.client.load(
                    plain.namespace,
                    keys: keys((round * 10)..<(round * 10 + 5)),
                    into: memory.map { unsafe $0.buffer }
                )
                #expect(result.isComplete)
                for (region, content) in zip(memory, contents) { #expect(region.bytes == content) }
            }
            #expect(subject.client.statistics.sharedStoreCount >= 10)
            let again = Region(1 << 20)
            let outcomes = try await unsafe subject.client.store(
                subject.namespace,
                keys: keys(3..<4),
                payloads: [UnsafeRawBufferPointer(again.buffer)]
            )
            #expect(outcomes == [.exists])
            #expect(node.figure("memory_reserved_bytes") == 0)
        }
    }

    @Test("what gets no place to be written in goes through the socket")
    func storedWithoutPlace() async throws {
        try await LocalNode.with(sharesWrites: true) { node in
            let subject = try ClientUnderTest(.unix(path: node.unixPath))
            try await attached(subject)
            // Places may hold half of 64 MiB at a time: these are taken 16 MiB a request, all at once.
            let contents = (0..<24).map { [UInt8](repeating: UInt8($0), count: 2 << 20) }
            try await store(subject, contents)
            let memory = (0..<24).map { _ in Region(2 << 20) }
            let result = try await unsafe subject.client.load(
                subject.namespace,
                keys: keys(0..<24),
                into: memory.map { unsafe $0.buffer }
            )
            #expect(result.isComplete)
            for (index, region) in memory.enumerated() { #expect(region.bytes == contents[index]) }
            #expect(subject.client.statistics.sharedStoreCount >= 4)
            #expect(node.figure("memory_reserved_bytes") == 0)
        }
    }

    /// Waits until the client's connections have been given the node's memory: the first calls come too early.
    private func attached(_ subject: ClientUnderTest) async throws {
        let end = ContinuousClock.now + Self.patience
        var number = 1_000
        while subject.client.statistics.sharedStoreCount < 3, ContinuousClock.now < end {
            try await store(subject, [[UInt8](repeating: 1, count: 200_000)], from: number)
            number += 1
        }
        try #require(subject.client.statistics.sharedStoreCount >= 3)
    }

    @Test("what the node holds and does not lend comes by the socket")
    func held() async throws {
        try await LocalNode.with { node in
            let subject = try ClientUnderTest(.unix(path: node.unixPath), connectionCount: 1)
            let contents = (0..<20).map { [UInt8](repeating: UInt8($0), count: 2 << 20) }
            try await store(subject, contents)
            // Half of 64 MiB may be lent.
            let loan = try #require(await subject.client.borrow(subject.namespace, keys: try keys(0..<15)))
            #expect(loan.lentPrefixCount == 15)
            let memory = (0..<5).map { _ in Region(2 << 20) }
            let result = try await unsafe subject.client.load(
                subject.namespace,
                keys: keys(15..<20),
                into: memory.map { unsafe $0.buffer }
            )
            #expect(result.loadedPrefixCount == 5)
            for (index, region) in memory.enumerated() { #expect(region.bytes == contents[15 + index]) }
            withExtendedLifetime(loan) {}
        }
    }

    @Test("borrowed blocks are read in place while they are lent, and given back by letting go")
    func borrow() async throws {
        try await LocalNode.with { node in
            let subject = try ClientUnderTest(.unix(path: node.unixPath))
            let contents = (1...3).map { [UInt8](repeating: UInt8($0), count: 100_000 * $0) }
            try await store(subject, contents)
            do {
                let loan = try #require(await subject.client.borrow(subject.namespace, keys: try keys(0..<4)))
                #expect(loan.count == 4)
                #expect(loan.lentPrefixCount == 3)
                #expect(loan.byteCount(at: 3) == nil)
                for (index, content) in contents.enumerated() {
                    #expect(loan.byteCount(at: index) == content.count)
                    let isEqual = loan.withPayload(at: index) { span in
                        unsafe span.withUnsafeBytes { unsafe Array($0) == content }
                    }
                    #expect(isEqual == true)
                }
                #expect(loan.withPayload(at: 3) { _ in 1 } == nil)
                #expect(loan.withPayload(at: -1) { _ in 1 } == nil)
                #expect(node.figure("memory_leased_bytes") > 0)
            }
            try await node.expectFigure("memory_leased_bytes", 0)
        }
    }

    @Test("bytes that changed in the node's memory are a miss and counted, never what a caller gets")
    func damaged() async throws {
        try await LocalNode.with { node in
            let subject = try ClientUnderTest(.unix(path: node.unixPath), connectionCount: 1)
            try await store(subject, [[UInt8](repeating: 7, count: 100_000), [1, 2, 3]])
            let keys = try keys(0..<2)
            try node.damage(keys[0], of: subject.namespace)
            let memory = [Region(100_000), Region(3)]
            let result = await unsafe subject.client.load(
                subject.namespace,
                keys: keys,
                into: memory.map { unsafe $0.buffer }
            )
            #expect(result.isLoaded == [false, true])
            #expect(subject.client.statistics.damagedPayloadCount == 1)
            let loan = try #require(await subject.client.borrow(subject.namespace, keys: keys))
            #expect(loan.withPayload(at: 0) { _ in true } == nil)
            #expect(loan.withPayload(at: 1) { _ in true } == true)
        }
    }

    @Test("a loan ends with its connection, and the reader is told")
    func lost() async throws {
        try await LocalNode.with { node in
            let subject = try ClientUnderTest(.unix(path: node.unixPath))
            try await store(subject, [[1, 2, 3]])
            let loan = try #require(await subject.client.borrow(subject.namespace, keys: try keys(0..<1)))
            #expect(loan.withPayload(at: 0) { $0.byteCount } == 3)
            subject.client.close()
            let end = ContinuousClock.now + .seconds(10)
            while loan.withPayload(at: 0, { _ in true }) == true, ContinuousClock.now < end {
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(loan.withPayload(at: 0) { _ in true } == nil)
            try await node.expectFigure("memory_leased_bytes", 0)
        }
    }

    @Test("a node that shares nothing is loaded from by its socket")
    func notShared() async throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/node.sock"
        let server = try FakeServer(
            unixPath: path,
            serving { words, connection in
                guard words[0] == "KV.GET" else { return connection.send("-ERR unknown command\r\n") }
                return connection.send("*1\r\n$4\r\nabcd\r\n")
            }
        )
        let subject = try ClientUnderTest(.unix(path: path))
        for _ in 0..<3 {
            let memory = Region(4)
            let result = try await unsafe subject.client.load(
                subject.namespace,
                keys: keys(0..<1),
                into: [unsafe memory.buffer]
            )
            #expect(result.isComplete)
            #expect(memory.bytes == Array("abcd".utf8))
        }
        #expect(await subject.client.borrow(subject.namespace, keys: try keys(0..<1)) == nil)
        withExtendedLifetime(server) {}
    }
}
