import Blocks
import LarderClient
import Synchronization
import TestSupport
import Testing

@Suite("Client and node")
struct ClientTests {
    @Test("a match tells how many blocks are held, where, and under which lease")
    func match() async throws {
        let requests = Recorder()
        let server = try FakeServer(
            serving { words, connection in
                requests.add(words)
                return connection.send("*3\r\n:2\r\n:77\r\n*4\r\n+memory\r\n:1\r\n$4\r\ndisk\r\n:1\r\n")
            }
        )
        let subject = try ClientUnderTest(port: server.port)
        let match = try await subject.client.match(
            subject.namespace,
            keys: ClientUnderTest.keys(3),
            lease: .seconds(10),
            prefetches: true
        )
        #expect(match == PrefixMatch(tiers: [.memory, .disk], leaseID: 77))
        let namespace = subject.namespace.description
        #expect(
            requests.all == [
                ["KV.MATCH", namespace, "LEASE", "10000", "PREFETCH", "KEYS", "3", "key-0", "key-1", "key-2"]
            ]
        )
    }

    @Test("every connection says who it is and describes the namespaces before anything else")
    func greeting() async throws {
        let requests = Recorder()
        let server = try FakeServer { connection in
            while let words = connection.readWords() {
                requests.add(words)
                connection.send(words[0] == "PING" ? "+PONG\r\n" : words[0] == "HELLO" ? "%0\r\n" : "+id\r\n")
            }
        }
        let subject = try ClientUnderTest(.tcp(host: "localhost", port: server.port), connectionCount: 1) {
            $0.credentials = .init(user: "worker", password: "secret")
        }
        #expect(await subject.client.ping(timeout: .seconds(5)))
        let later = try NamespaceDescription(json: Array(#"{"model":"later"}"#.utf8))
        subject.client.describe(later)
        subject.client.describe(later)
        #expect(await subject.client.ping(timeout: .seconds(5)))
        #expect(
            requests.all == [
                ["HELLO", "3", "AUTH", "worker", "secret"],
                ["KV.DESCRIBE", #"{"dtype":"bfloat16","model":"m"}"#], ["PING"],
                ["KV.DESCRIBE", #"{"model":"later"}"#], ["PING"],
            ]
        )
    }

    @Test("wrong credentials are a miss for engines and an error for tools")
    func unauthorized() async throws {
        let server = try FakeServer { connection in
            while connection.readRequest() != nil {
                connection.send("-WRONGPASS invalid username-password pair\r\n")
            }
        }
        let subject = try ClientUnderTest(.tcp(host: "127.0.0.1", port: server.port)) {
            $0.credentials = .init(user: "worker", password: "wrong")
        }
        #expect(await !subject.client.ping())
        do {
            try await subject.client.admin.ping()
            Issue.record("no error")
        } catch {
            #expect(error.code == .unauthorized)
        }
    }

    @Test("payloads go from and to the caller's memory, in many batches over several connections")
    func payloads() async throws {
        let held = Mutex<[String: [UInt8]]>([:])
        let server = try FakeServer { connection in
            while let request = connection.readRequest() {
                let words = request.map { String(decoding: $0, as: UTF8.self) }
                switch words[0] {
                case "KV.PUT":
                    let first = 8
                    #expect(words[2..<7] == ["TTL", "60000", "TOKENS", "16", "BLOCKS"])
                    for index in stride(from: first, to: request.count, by: 2) {
                        held.withLock { $0[words[index]] = request[index + 1] }
                    }
                    let count = (request.count - first) / 2
                    connection.send("*\(count)\r\n" + String(repeating: "+stored\r\n", count: count))
                case "KV.GET":
                    #expect(words[2..<5] == ["LEASE", "5", "KEYS"])
                    var reply = Array("*\(request.count - 6)\r\n".utf8)
                    for key in words[6...] {
                        reply += held.withLock { $0[key] }.map(FakeConnection.bulk) ?? Array("_\r\n".utf8)
                    }
                    connection.send(reply)
                default: connection.send("+OK\r\n")
                }
            }
        }
        let subject = try ClientUnderTest(port: server.port)
        var random = SeededRandom(seed: 11)
        let count = 100
        let contents = (0..<count).map { random.bytes($0 == 7 ? 200_000 : $0 * 997 % 5_000 + 1) }
        let memory = contents.map { content in
            let region = Region(content.count)
            unsafe region.buffer.copyBytes(from: content)
            return region
        }
        let keys = try ClientUnderTest.keys(count)
        let outcomes = await unsafe subject.client.store(
            subject.namespace,
            keys: keys,
            payloads: memory.map { unsafe UnsafeRawBufferPointer($0.buffer) },
            options: StoreOptions(tokenCount: 16, timeToLive: .seconds(60)),
            timeout: .seconds(20)
        )
        #expect(outcomes == Array(repeating: .stored, count: count))
        for region in memory { region.fill(0) }
        held.withLock { $0["key-41"] = nil }
        let result = await unsafe subject.client.load(
            subject.namespace,
            keys: keys,
            lease: 5,
            into: memory.map { unsafe $0.buffer },
            timeout: .seconds(20)
        )
        #expect(result.isLoaded == (0..<count).map { $0 != 41 })
        #expect(result.loadedPrefixCount == 41)
        #expect((0..<count).allSatisfy { $0 == 41 || memory[$0].bytes == contents[$0] })
        #expect(server.connectionCount > 1)
        let total = contents.map(\.count).reduce(0, +)
        #expect(subject.client.statistics.storedByteCount == total)
        #expect(subject.client.statistics.loadedByteCount == total - contents[41].count)
    }

    @Test("a store tells of each block what became of it")
    func outcomes() async throws {
        let server = try FakeServer(
            serving { _, connection in
                connection.send(
                    "*4\r\n+stored\r\n$6\r\nexists\r\n+refused overloaded: queue full\r\n-ERR broken\r\n"
                )
            }
        )
        let subject = try ClientUnderTest(port: server.port)
        let memory = Region(4)
        let outcomes = try await unsafe subject.client.store(
            subject.namespace,
            keys: ClientUnderTest.keys(4),
            payloads: (0..<4).map { _ in unsafe UnsafeRawBufferPointer(memory.buffer) }
        )
        #expect(outcomes == [.stored, .exists, .refused("overloaded: queue full"), .refused("ERR broken")])
    }

    @Test("many callers share the connections and each gets its own answer")
    func pipelining() async throws {
        let server = try FakeServer(
            serving { words, connection in
                let matched = Int(words[4].dropFirst(4)) ?? 0
                return connection.send(
                    "*3\r\n:\(matched)\r\n$-1\r\n*2\r\n+disk\r\n:\(matched)\r\n"
                )
            }
        )
        let subject = try ClientUnderTest(port: server.port)
        let answers = try await withThrowingTaskGroup(of: (Int, Int).self) { group in
            for number in 1...200 {
                group.addTask {
                    let keys = KeyBatch(
                        try (0..<200).map { try BlockKey(Array("key-\($0 == 0 ? number : $0)".utf8)) }
                    )
                    let match = await subject.client.match(
                        subject.namespace,
                        keys: keys,
                        timeout: .seconds(5)
                    )
                    return (number, match.matchedCount)
                }
            }
            return try await group.reduce(into: [Int: Int]()) { $0[$1.0] = $1.1 }
        }
        #expect(answers.count == 200 && answers.allSatisfy { $0.key == $0.value })
        #expect(server.connectionCount == 1)
    }

    @Test("a look-up does not wait behind payloads")
    func lanes() async throws {
        let goOn = Gate()
        let server = try FakeServer(
            serving { words, connection in
                guard words[0] == "KV.GET" else {
                    return connection.send("*3\r\n:1\r\n$-1\r\n*2\r\n+memory\r\n:1\r\n")
                }
                goOn.wait()
                return connection.send("*1\r\n$4\r\nabcd\r\n")
            }
        )
        let subject = try ClientUnderTest(port: server.port)
        let memory = Region(4)
        async let load = unsafe subject.client.load(
            subject.namespace,
            keys: ClientUnderTest.keys(1),
            into: [unsafe memory.buffer],
            timeout: .seconds(9)
        )
        let match = await subject.client.match(
            subject.namespace,
            keys: try ClientUnderTest.keys(1),
            timeout: .seconds(5)
        )
        #expect(match.matchedCount == 1)
        goOn.open()
        #expect(try await load.isComplete)
    }

    @Test("when the node comes back, calls reach it again without a new client")
    func recovery() async throws {
        var server: FakeServer? = try FakeServer(serving { _, _ in true })
        let port = try #require(server?.port)
        let subject = try ClientUnderTest(port: port)
        #expect(await subject.client.ping())
        server?.stop()
        server = nil
        for _ in 0..<4 { _ = await subject.client.ping() }
        #expect(subject.client.statistics.openingCount >= 1)
        let again = try FakeServer(port: port, serving { _, _ in true })
        let started = ContinuousClock.now
        while await !subject.client.ping(), ContinuousClock.now - started < .seconds(5) {
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(await subject.client.ping())
        withExtendedLifetime(again) {}
    }

    @Test("a node that ends idle connections is connected to again, and nothing is missed")
    func idleClose() async throws {
        let server = try FakeServer { connection in
            for _ in 0..<3 {
                if let words = connection.readWords() {
                    connection.send(words[0] == "HELLO" ? "%0\r\n" : "+PONG\r\n")
                }
            }
        }
        let subject = try ClientUnderTest(port: server.port, connectionCount: 1)
        for _ in 0..<4 {
            #expect(await subject.client.ping(timeout: .seconds(5)))
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(server.connectionCount == 4)
        #expect(subject.client.statistics.failureCounts.isEmpty)
    }

    @Test("a Unix socket works like TCP")
    func unixSocket() async throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/node.sock"
        let server = try FakeServer(unixPath: path, serving { _, _ in true })
        let subject = try ClientUnderTest(.unix(path: path))
        #expect(await subject.client.ping(timeout: .seconds(5)))
        #expect(server.connectionCount == 1)
    }

    @Test("a closed client answers misses")
    func closed() async throws {
        let server = try FakeServer(serving { _, _ in true })
        let subject = try ClientUnderTest(port: server.port)
        #expect(await subject.client.ping())
        subject.client.close()
        #expect(await !subject.client.ping())
        #expect(subject.client.statistics.failureCounts == [.closed: 1])
    }

    @Test("closing the client ends the calls under way")
    func closedUnderWay() async throws {
        let server = try FakeServer { $0.waitForClose() }
        let subject = try ClientUnderTest(port: server.port)
        async let ping = subject.client.ping(timeout: .seconds(60))
        try await Task.sleep(for: .milliseconds(30))
        subject.client.close()
        #expect(await !ping)
    }

    @Test("more calls than may wait are refused at once")
    func bounded() async throws {
        let server = try FakeServer { $0.waitForClose() }
        let subject = try ClientUnderTest(.tcp(host: "127.0.0.1", port: server.port)) {
            $0.pendingCallCountMax = 4
        }
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<20 { group.addTask { _ = await subject.client.ping(timeout: .seconds(1)) } }
        }
        #expect(subject.client.statistics.failureCounts[.overloaded] == 16)
    }

    @Test("tools get figures, reasons and counts")
    func administration() async throws {
        let server = try FakeServer(
            serving { words, connection in
                switch words[0] {
                case "KV.STATS": connection.send("%2\r\n$4\r\nhits\r\n:5\r\n+rate\r\n,0.5\r\n")
                case "KV.EXPLAIN": connection.send("*2\r\n+never_seen\r\n*2\r\n+evicted\r\n$7\r\nby size\r\n")
                case "KV.CLEAR": connection.send(":12\r\n")
                case "KV.PIN": connection.send("*2\r\n:1\r\n:0\r\n")
                case "KV.DEL": connection.send(":2\r\n")
                case "KV.RELEASE": connection.send(":1\r\n")
                case "KV.HOT":
                    connection.send("*1\r\n%3\r\n+keys\r\n*1\r\n$1\r\na\r\n+tokens\r\n:16\r\n+hits\r\n:9\r\n")
                default: connection.send("-ERR what\r\n")
                }
                return true
            }
        )
        let subject = try ClientUnderTest(port: server.port)
        let keys = try ClientUnderTest.keys(2)
        let admin = subject.client.admin
        #expect(try await admin.stats() == ["hits": "5", "rate": "0.5"])
        #expect(try await admin.explain(subject.namespace, keys: keys) == ["never_seen", "evicted: by size"])
        #expect(try await admin.clear(subject.namespace) == 12)
        #expect(try await admin.pin(subject.namespace, keys: keys) == 1)
        #expect(try await admin.delete(subject.namespace, keys: keys) == 2)
        #expect(try await admin.release(lease: 1))
        #expect(
            try await admin.hot(subject.namespace, limit: 5)
                == [PrefixHeat(keys: [[97]], tokenCount: 16, hitCount: 9)]
        )
    }
}

/// What a fake node was asked.
final class Recorder: Sendable {
    private let requests = Mutex<[[String]]>([])

    var all: [[String]] { requests.withLock { $0 } }

    func add(_ words: [String]) { requests.withLock { $0.append(words) } }
}
