import Blocks
import LarderClient
import Synchronization
import TestSupport
import Testing

@Suite("A sick node is a miss, never an error and never a hang")
struct SickNodeTests {
    /// Everything an engine asks; each must come back as a miss.
    private func expectMisses(_ subject: ClientUnderTest, _ comment: Comment) async throws {
        let keys = try ClientUnderTest.keys(2)
        let memory = [Region(8), Region(8)]
        let started = ContinuousClock.now
        #expect(await subject.client.match(subject.namespace, keys: keys) == .none, comment)
        let loaded = await unsafe subject.client.load(
            subject.namespace,
            keys: keys,
            into: memory.map { unsafe $0.buffer }
        )
        #expect(loaded == .none(count: 2), comment)
        let outcomes = await unsafe subject.client.store(
            subject.namespace,
            keys: keys,
            payloads: memory.map { unsafe UnsafeRawBufferPointer($0.buffer) }
        )
        #expect(outcomes.count == 2 && !outcomes.contains { $0.isHeld }, comment)
        #expect(await subject.client.pin(subject.namespace, keys: keys).count == 0, comment)
        #expect(await !subject.client.delete(subject.namespace, keys: keys).isComplete, comment)
        #expect(await !subject.client.ping(), comment)
        #expect(ContinuousClock.now - started < .seconds(5), comment)
        #expect(memory.allSatisfy { $0.bytes == [UInt8](repeating: 0xee, count: 8) })
    }

    @Test("nobody listens")
    func refused() async throws {
        try await expectMisses(try ClientUnderTest(impatientAt: FakeServer.unusedPort()), "refused")
        let path = "\(try TemporaryDirectory().path)/nobody"
        try await expectMisses(try ClientUnderTest(impatientAt: .unix(path: path)), "no socket")
        try await expectMisses(
            try ClientUnderTest(impatientAt: .unix(path: String(repeating: "x", count: 300))),
            "long path"
        )
        try await expectMisses(
            try ClientUnderTest(impatientAt: .tcp(host: "no such host", port: 1)),
            "no host"
        )
    }

    @Test("it accepts and never answers; the second call does not wait")
    func silent() async throws {
        let server = try FakeServer { $0.waitForClose() }
        let subject = try ClientUnderTest(impatientAt: server.port)
        try await expectMisses(subject, "silent")
        let failures = subject.client.statistics.failureCounts
        // One, where the machine is not so busy that a request leaves when half of its time is over.
        #expect((1...CircuitBreaker.Policy().failureCountMax).contains(failures[.timedOut] ?? 0))
        #expect((failures[.circuitOpen] ?? 0) >= 1)
    }

    @Test("it is never accepted, because the listener's queue is full or the node is stopped")
    func stopped() async throws {
        let server = try FakeServer(script: { _ in }, isAccepting: false)
        try await expectMisses(try ClientUnderTest(impatientAt: server.port), "stopped")
    }

    @Test(
        "it talks garbage",
        arguments: [
            "HTTP/1.1 400 Bad Request\r\n\r\n", "\0\0\0\0", "+OK\r\n+OK\r\n+OK\r\n+OK\r\n:1\r\n",
            "*1000000\r\n",
            "$-5\r\n", "%1\r\n+proto\r\n:3\r\n+d\r\n*2\r\n:1\r\n+too many\r\n:7\r\n",
            "*1\r\n*1\r\n*1\r\n*1\r\n",
            "%1\r\n+proto\r\n:3\r\n+d\r\n*3\r\n:900\r\n$-1\r\n*0\r\n",
        ]
    )
    func garbage(text: String) async throws {
        let server = try FakeServer { connection in
            _ = connection.readRequest()
            connection.send(text)
            connection.waitForClose()
        }
        try await expectMisses(try ClientUnderTest(impatientAt: server.port), "garbage")
    }

    @Test("it closes every connection at once")
    func closing() async throws {
        let server = try FakeServer { _ in }
        try await expectMisses(try ClientUnderTest(impatientAt: server.port), "closing")
    }

    @Test("it answers errors")
    func errors() async throws {
        let server = try FakeServer { connection in
            while connection.readRequest() != nil { connection.send("-ERR unknown command\r\n") }
        }
        let subject = try ClientUnderTest(port: server.port)
        let keys = try ClientUnderTest.keys(1)
        #expect(await subject.client.match(subject.namespace, keys: keys) == .none)
        #expect(subject.client.statistics.failureCounts == [.answeredWithError: 1])
        await #expect(throws: LarderClientError.self) {
            try await subject.client.admin.match(subject.namespace, keys: keys)
        }
    }

    @Test("it closes in the middle of a payload: what was whole is loaded, the rest is not")
    func closesMidPayload() async throws {
        let server = try FakeServer(
            serving { words, connection in
                guard words[0] == "KV.GET" else { return false }
                connection.send("*3\r\n$4\r\nabcd\r\n$4\r\nef")
                return false
            }
        )
        let subject = try ClientUnderTest(port: server.port)
        let memory = (0..<3).map { _ in Region(4) }
        let result = try await unsafe subject.client.load(
            subject.namespace,
            keys: ClientUnderTest.keys(3),
            into: memory.map { unsafe $0.buffer }
        )
        #expect(result.isLoaded == [true, false, false])
        #expect(result.loadedPrefixCount == 1)
        #expect(memory[0].bytes == Array("abcd".utf8))
        #expect(memory[2].bytes == [UInt8](repeating: 0xee, count: 4))
    }

    @Test(
        "a payload of another length than its region is a miss, and the others are not",
        arguments: [1, 3, 5, 90_000]
    )
    func wrongLength(byteCount: Int) async throws {
        let server = try FakeServer(
            serving { words, connection in
                guard words[0] == "KV.GET" else { return false }
                let odd = FakeConnection.bulk([UInt8](repeating: 1, count: byteCount))
                connection.send(Array("*3\r\n".utf8) + odd + Array("$4\r\nabcd\r\n$-1\r\n".utf8))
                return true
            }
        )
        let subject = try ClientUnderTest(port: server.port, connectionCount: 1)
        for _ in 0..<3 {
            let memory = (0..<3).map { _ in Region(4) }
            let result = try await unsafe subject.client.load(
                subject.namespace,
                keys: ClientUnderTest.keys(3),
                into: memory.map { unsafe $0.buffer }
            )
            #expect(result.isLoaded == [false, true, false])
            #expect(memory[0].bytes == [UInt8](repeating: 0xee, count: 4))
            #expect(memory[1].bytes == Array("abcd".utf8))
        }
        #expect(server.connectionCount == 1)
    }

    @Test(
        "after the deadline the caller's memory is not written, whatever the node still sends",
        arguments: [1, 4]
    )
    func slowPayload(connectionCount: Int) async throws {
        let byteCount = 1 << 20
        let goOn = Gate()
        let clientLeft = Gate()
        let server = try FakeServer(
            serving { words, connection in
                guard words[0] == "KV.GET" else { return false }
                connection.send(
                    Array("*2\r\n$\(byteCount)\r\n".utf8) + [UInt8](repeating: 1, count: byteCount / 2)
                )
                goOn.wait()
                for _ in 0..<8 { connection.send([UInt8](repeating: 2, count: byteCount / 2)) }
                connection.waitForClose()
                clientLeft.open()
                return false
            }
        )
        let subject = try ClientUnderTest(port: server.port, connectionCount: connectionCount)
        let memory = [Region(byteCount), Region(byteCount)]
        let result = try await unsafe subject.client.load(
            subject.namespace,
            keys: ClientUnderTest.keys(2),
            into: memory.map { unsafe $0.buffer },
            timeout: .milliseconds(400)
        )
        #expect(result.isLoaded == [false, false])
        // The memory is the caller's again: it is given to somebody else.
        for region in memory { region.fill(0x55) }
        goOn.open()
        clientLeft.wait()
        try await Task.sleep(for: .milliseconds(20))
        #expect(memory.allSatisfy { $0.bytes == [UInt8](repeating: 0x55, count: byteCount) })
    }

    @Test(
        "a load that waited behind another one is abandoned at its deadline, and its late payload goes nowhere"
    )
    func abandonedBehindAnother() async throws {
        let goOn = Gate()
        let server = try FakeServer(
            serving { words, connection in
                guard words[0] == "KV.GET" else { return false }
                if words.last == "key-0" { goOn.wait() }
                return connection.send("*1\r\n$4\r\nabcd\r\n")
            }
        )
        let subject = try ClientUnderTest(port: server.port, connectionCount: 1)
        let slow = Region(4)
        let impatient = Region(4)
        async let first = unsafe subject.client.load(
            subject.namespace,
            keys: ClientUnderTest.keys(1),
            into: [unsafe slow.buffer],
            timeout: .seconds(4)
        )
        try await Task.sleep(for: .milliseconds(50))
        let second = await unsafe subject.client.load(
            subject.namespace,
            keys: KeyBatch([try BlockKey(Array("other".utf8))]),
            into: [unsafe impatient.buffer],
            timeout: .milliseconds(50)
        )
        #expect(second == .none(count: 1))
        impatient.fill(0x55)
        goOn.open()
        #expect(try await first.isLoaded == [true])
        #expect(await subject.client.ping(timeout: .seconds(4)))
        #expect(impatient.bytes == [UInt8](repeating: 0x55, count: 4))
        #expect(server.connectionCount == 1)
    }

    @Test(
        "a match whose tiers do not add up is a miss",
        arguments: [
            "*2\r\n+memory\r\n:3\r\n", "*2\r\n+memory\r\n:1\r\n", "*2\r\n+memory\r\n:0\r\n", "*0\r\n",
            "*2\r\n+memory\r\n:-2\r\n", "*1\r\n+memory\r\n", "*2\r\n+memory\r\n:9223372036854775807\r\n",
            "*4\r\n+memory\r\n:2\r\n+disk\r\n:1\r\n", "*2\r\n+memory\r\n+disk\r\n",
        ]
    )
    func wrongRuns(tiers: String) async throws {
        let server = try FakeServer(
            serving { _, connection in connection.send("*3\r\n:2\r\n$-1\r\n" + tiers) }
        )
        let subject = try ClientUnderTest(port: server.port)
        let match = await subject.client.match(
            subject.namespace,
            keys: try ClientUnderTest.keys(2),
            timeout: .seconds(5)
        )
        #expect(match == .none)
    }

    @Test("a thousand calls to a node that fails in every way all return", arguments: [3 as UInt64])
    func chaos(seed: UInt64) async throws {
        let random = Mutex(SeededRandom(seed: seed))
        let server = try FakeServer(
            serving { words, connection in
                switch random.withLock({ Int.random(in: 0..<6, using: &$0) }) {
                case 0: return false
                case 1: return connection.send("$10\r\nhalf")
                case 2: return connection.send("garbage")
                case 3: return true
                case 4: return connection.send("*3\r\n:1\r\n$-1\r\n*2\r\n+memory\r\n:1\r\n")
                default: return connection.send("*1\r\n$4\r\nabcd\r\n")
                }
            }
        )
        let subject = try ClientUnderTest(
            .tcp(host: "127.0.0.1", port: server.port),
            lookup: .milliseconds(5),
            load: .milliseconds(5)
        ) { configuration in
            configuration.breaker.backoffMin = .milliseconds(2)
            configuration.breaker.backoffMax = .milliseconds(4)
        }
        let started = ContinuousClock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    let memory = Region(4)
                    for _ in 0..<63 {
                        let keys = try ClientUnderTest.keys(1)
                        let match = await subject.client.match(subject.namespace, keys: keys)
                        #expect(match.matchedCount <= 1)
                        let loaded = await unsafe subject.client.load(
                            subject.namespace,
                            keys: keys,
                            into: [unsafe memory.buffer]
                        )
                        if loaded.isComplete { #expect(memory.bytes == Array("abcd".utf8)) }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(ContinuousClock.now - started < .seconds(30))
        #expect(subject.client.statistics.callCount == 1_008)
    }
}
