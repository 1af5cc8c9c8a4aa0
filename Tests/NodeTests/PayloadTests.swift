import TestSupport
import Testing

@testable import Node

@Suite("Payloads")
struct PayloadTests {
    private func set(_ key: String, _ value: [UInt8]) -> [UInt8] {
        WireClient.encode([Array("SET".utf8), Array(key.utf8), value])
    }

    private func get(_ client: WireClient, _ key: String, _ count: Int) throws -> [UInt8] {
        try client.request("GET", key)
        let header = "$\(count)\r\n"
        #expect(try client.receive(like: header) == header)
        let value = try client.receive(count)
        #expect(try client.receive(like: "\r\n") == "\r\n")
        return value
    }

    @Test("of all sizes come back with the bytes they went in with, over TCP and Unix sockets")
    func sizes() async throws {
        try await TestNode.with { node in
            var random = SeededRandom(seed: 1)
            for client in [try node.connect(), try node.connectLocally()] {
                for count in [1, 15, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 1 << 20, 5_000_001] {
                    let value = random.bytes(count)
                    try client.send(set("k\(count)", value))
                    #expect(try client.receiveLine() == "+OK\r\n")
                    #expect(try get(client, "k\(count)", count) == value)
                }
            }
        }
    }

    @Test("are read from the socket straight into the arena but for what came with their header")
    func inPlace() async throws {
        try await TestNode.with { node in
            let client = try node.connect()
            let count = 8 << 20
            try client.send(set("big", [UInt8](repeating: 7, count: count)))
            #expect(try client.receiveLine() == "+OK\r\n")
            let counters = try node.counters
            #expect(counters.payloadBytesInPlace.value + counters.payloadBytesCopied.value == count)
            #expect(counters.payloadBytesCopied.value <= 64 << 10)
        }
    }

    @Test("survive being cut at any place, and the requests behind them are answered in order")
    func cuts() async throws {
        try await TestNode.with { node in
            let value = SeededRandomBytes.make(100_000)
            let input =
                set("a", value) + set("b", value) + WireClient.encode([Array("GET".utf8), Array("b".utf8)])
            for cut in [1, 20, 30, 36, 37, 38, 50_000, 100_030, 100_036, 100_037, 100_038, 100_060, 200_072] {
                let client = try node.connect()
                try client.send(Array(input[..<cut]))
                try await Task.sleep(for: .milliseconds(5))
                try client.send(Array(input[cut...]))
                let received = try client.receiveReplies(3)
                #expect(received.count == 3)
                #expect(received.last == Array("$100000\r\n".utf8) + value + [13, 10], "cut at \(cut)")
            }
        }
    }

    @Test("that nobody wants are read and dropped, and the connection goes on")
    func unwanted() async throws {
        try await TestNode.with { node in
            let client = try node.connect()
            let payload = [UInt8](repeating: 1, count: 1 << 20)
            try client.request(bytes: [Array("NOSUCH".utf8), payload])
            #expect(try client.receiveLine().hasPrefix("-ERR unknown command 'NOSUCH'"))
            try client.request(bytes: [Array("SET".utf8), [UInt8](repeating: 1, count: 513), payload])
            #expect(try client.receiveLine() == "-ERR a key has 1 to 512 bytes\r\n")
            try client.request(bytes: [Array("SET".utf8), Array("k".utf8), payload, Array("FOO".utf8)])
            #expect(try client.receiveLine() == "-ERR syntax error\r\n")
            try client.request(bytes: [Array("GET".utf8), payload])
            #expect(try client.receiveLine() == "$-1\r\n")
            #expect(try client.ask("PING") == "+PONG\r\n")
            #expect(try node.counters.payloadBytesDiscarded.value == 3 << 20)
        }
    }

    @Test("larger than the arena are refused, drained, and the next request is answered")
    func tooLarge() async throws {
        try await TestNode.with { configuration, _ in
            configuration.memoryByteCount = 16 << 20
            configuration.limits.spaceTimeout = .milliseconds(100)
        } _: { node in
            let client = try node.connect()
            try client.send(set("huge", [UInt8](repeating: 1, count: 17 << 20)))
            let line = try client.receiveLine()
            #expect(line.hasPrefix("-"))
            #expect(try client.ask("GET", "huge") == "$-1\r\n")
        }
    }

    @Test("give their place back when the connection dies in the middle")
    func died() async throws {
        try await TestNode.with { node in
            do {
                let client = try node.connect()
                try client.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10000000\r\nabc")
                try await eventually { node.figure("memory_reserved_bytes") > 0 }
            }
            try await eventually { node.figure("memory_reserved_bytes") == 0 }
            let other = try node.connect()
            #expect(try other.ask("EXISTS", "k") == ":0\r\n")
        }
    }

    @Test("stay what they were while they are sent, though the key is replaced and evicted meanwhile")
    func stable() async throws {
        try await TestNode.with { configuration, _ in
            configuration.memoryByteCount = 32 << 20
        } _: { node in
            let count = 6 << 20
            let slow = try WireClient(port: node.addresses.port ?? 0, receiveBufferByteCount: 4096)
            let writer = try node.connect()
            try writer.send(set("k", [UInt8](repeating: 1, count: count)))
            #expect(try writer.receiveLine() == "+OK\r\n")
            try slow.request("GET", "k")
            #expect(try slow.receiveLine() == "$\(count)\r\n")
            for round in 2..<12 {
                try writer.send(set("k", [UInt8](repeating: UInt8(round), count: count)))
                #expect(try writer.receiveLine() == "+OK\r\n")
            }
            let value = try slow.receive(count)
            #expect(value.allSatisfy { $0 == 1 })
            try await eventually { node.figure("memory_leased_bytes") == 0 }
        }
    }

    @Test("of GETRANGE and MGET are sent from the arena too")
    func ranges() async throws {
        try await TestNode.with { node in
            let client = try node.connect()
            let value = SeededRandomBytes.make(200_000)
            try client.send(set("k", value))
            #expect(try client.receiveLine() == "+OK\r\n")
            try client.request("GETRANGE", "k", "1000", "150999")
            #expect(try client.receiveLine() == "$150000\r\n")
            #expect(try client.receive(150_002) == Array(value[1000..<151_000]) + [13, 10])
            try client.request("MGET", "k", "none", "k")
            #expect(try client.receiveLine() == "*3\r\n")
            #expect(try client.receiveLine() == "$200000\r\n")
            #expect(try client.receive(200_002) == value + [13, 10])
            #expect(try client.receiveLine() == "$-1\r\n")
            #expect(try client.receiveLine() == "$200000\r\n")
            #expect(try client.receive(200_002) == value + [13, 10])
        }
    }
}

/// Bytes from a fixed seed.
enum SeededRandomBytes {
    static func make(_ count: Int) -> [UInt8] {
        var random = SeededRandom(seed: 7)
        return random.bytes(count)
    }
}

extension WireClient {
    /// The next replies as bytes.
    func receiveReplies(_ count: Int) throws -> [[UInt8]] {
        try (0..<count).map { _ in
            let line = try receiveLine()
            guard line.first == "$", let length = Int(line.body), length >= 0 else { return Array(line.utf8) }
            return Array(line.utf8) + (try receive(length + 2))
        }
    }
}

/// Waits up to 5 s for a condition.
func eventually(_ condition: () throws -> Bool, sourceLocation: SourceLocation = #_sourceLocation)
    async throws
{
    for _ in 0..<500 {
        if try condition() { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record("did not come true within 5 s", sourceLocation: sourceLocation)
}
