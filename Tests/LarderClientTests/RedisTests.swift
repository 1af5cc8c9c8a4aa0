import LarderClient
import RESP
import TestSupport
import Testing

@Suite("A real Redis as the peer", .enabled(if: RedisProcess.isInstalled))
struct RedisTests {
    @Test("requests are understood and replies are read, values of every size with equal bytes")
    func values() async throws {
        let redis = try await RedisProcess()
        let connection = try #require(try PlainConnection(redis.endpoint))
        var random = SeededRandom(seed: 9)
        for byteCount in [0, 1, 2, 1_000, 65_535, 65_536, 3 << 20] {
            let value = random.bytes(byteCount)
            #expect(try connection.ask(["SET", "key"], value) == .status("OK"))
            #expect(try connection.ask(["GET", "key"]) == .bulk(value))
        }
        #expect(try connection.ask(["GET", "absent"]) == .null)
        #expect(try connection.ask(["NOSUCH"]).isFailure)
        #expect(try connection.ask(["HELLO", "3"]).pairs?.contains { $0.key.text == "proto" } == true)
        #expect(try connection.ask(["GET", "absent"]) == .null)
        #expect(try connection.ask(["EXISTS", "key", "key", "absent"]) == .integer(2))
        #expect(try connection.ask(["MGET", "key", "absent"]).elements?.count == 2)
        // RESP3: a verbatim string, a map, a set of flags inside nested arrays.
        #expect(try connection.ask(["INFO", "server"]).text?.contains("redis_version") == true)
        #expect(try connection.ask(["CONFIG", "GET", "maxmemory"]).pairs?.count == 1)
        #expect(try connection.ask(["COMMAND", "INFO", "get"]).elements?.count == 1)
    }

    @Test("a stopped server is a miss at the deadline, then at once, and a hit again when it goes on")
    func stopped() async throws {
        let redis = try await RedisProcess()
        let subject = try ClientUnderTest(redis.endpoint)
        #expect(await subject.client.ping(timeout: .seconds(5)))
        redis.stop()
        // A deadline that passes in silence opens the circuit. One by which the request had only just been sent, as
        // on a busy machine, does not yet: three of those do.
        var timeoutCount = 0
        while subject.client.statistics.openingCount == 0,
            timeoutCount < CircuitBreaker.Policy().failureCountMax
        {
            #expect(await !subject.client.ping(timeout: .milliseconds(50)))
            timeoutCount += 1
        }
        #expect(await !subject.client.ping(timeout: .seconds(60)))
        #expect(subject.client.statistics.failureCounts == [.timedOut: timeoutCount, .circuitOpen: 1])
        redis.goOn()
        let started = ContinuousClock.now
        while await !subject.client.ping(), ContinuousClock.now - started < .seconds(10) {
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(await subject.client.ping(timeout: .seconds(5)))
    }

    @Test("a server that knows no KV verbs is a miss for engines")
    func plainServer() async throws {
        let redis = try await RedisProcess()
        let subject = try ClientUnderTest(redis.endpoint)
        let keys = try ClientUnderTest.keys(2)
        #expect(await subject.client.match(subject.namespace, keys: keys, timeout: .seconds(5)) == .none)
        #expect(subject.client.statistics.failureCounts == [.answeredWithError: 1])
    }
}

extension Reply {
    fileprivate var isFailure: Bool { if case .failure = self { true } else { false } }
}

/// Encoder, socket and parser with nothing between them.
private final class PlainConnection {
    private let socket: StreamSocket
    private var parser = ReplyParser()
    private var builder = ReplyBuilder()
    private var received: [UInt8] = []

    struct Lost: Error {}

    init?(_ endpoint: LarderEndpoint) throws {
        guard case .unix(let path) = endpoint, let address = SocketAddress(unixPath: path),
            let socket = StreamSocket(connectingTo: address)
        else { return nil }
        self.socket = socket
    }

    func ask(_ words: [String], _ value: [UInt8]? = nil) throws -> Reply {
        try unsafe (value ?? []).withUnsafeBytes { payload in
            var encoder = RequestEncoder()
            encoder.begin(argumentCount: words.count + (value == nil ? 0 : 1))
            for word in words { encoder.append(word) }
            if value != nil { unsafe encoder.append(payload: payload) }
            let request = encoder.finish()
            var progress = EncodedRequest.Progress()
            while progress.byteCount < request.byteCount {
                unsafe request.sendNext(&progress, countMax: 8) { pieces in
                    if case .bytes(let count) = unsafe socket.send(pieces) { return count }
                    _ = socket.wait(isWriting: true, milliseconds: 5_000)
                    return 0
                }
            }
            return try readReply()
        }
    }

    private func readReply() throws -> Reply {
        while true {
            let (reply, consumed) = try parse(received)
            received.removeFirst(consumed)
            if let reply { return reply }
            var chunk = [UInt8](repeating: 0, count: 128 << 10)
            guard socket.wait(isWriting: false, milliseconds: 5_000) else { throw Lost() }
            let transfer = unsafe chunk.withUnsafeMutableBytes { unsafe socket.receive($0) }
            guard case .bytes(let count) = transfer else { throw Lost() }
            received += chunk.prefix(count)
        }
    }

    private func parse(_ bytes: [UInt8]) throws -> (reply: Reply?, consumed: Int) {
        var consumed = 0
        let span = unsafe bytes.span.bytes
        while let event = try parser.next(span, consumed: &consumed) {
            if let reply = try builder.add(event, of: span) { return (reply, consumed) }
        }
        return (nil, consumed)
    }
}
