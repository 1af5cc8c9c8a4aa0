import Foundation
import TestSupport
import Testing

@testable import Node

@Suite("LMCache's native client")
struct LMCacheNativeClientTests {
    private let group = "m@08050401@0@"
    private func key(_ digit: Character) -> String { group + String(repeating: digit, count: 64) }

    @Test("gets a nil padded to the header it expects, for a missing key of its multi-process mode")
    func paddedNil() async throws {
        try await TestNode.with { node in
            let client = try node.connect()
            #expect(try client.ask("GET", key("a")) == "$-1\r\n")
            #expect(try client.ask("SET", key("a"), String(repeating: "x", count: 4096)) == "+OK\r\n")
            #expect(try client.ask("GET", key("b")) == "$-001\r\n")
            #expect(try client.ask("GET", key("b") + "@salt") == "$-001\r\n")
            #expect(
                try client.ask("GET", "other@08050401@0@" + String(repeating: "b", count: 64)) == "$-1\r\n"
            )
            #expect(
                try client.ask("GET", "m@1@0@abc@bfloat16") == "$-1\r\n",
                "in-process keys must not be padded"
            )
            #expect(try client.ask("MGET", key("b")) == "*1\r\n$-1\r\n")
            let polite = try node.connect()
            _ = try polite.ask("HELLO", "2")
            #expect(try polite.ask("GET", key("b")) == "$-1\r\n")
        }
    }

    @Test(
        "knows its keys by their form",
        arguments: [
            ("m@08050401@0@HASH", "m@08050401@0@"), ("m@08050401@1f@HASH@salt", "m@08050401@1f@"),
            ("a/b@c@08050401@0@HASH", "a/b@c@08050401@0@"), ("m@0805040@0@HASH", nil),
            ("m@08050401@x@HASH", nil),
            ("m@08050401@0@HASHf", nil), ("08050401@0@HASH", nil), ("", nil), ("@@@", nil),
        ]
    )
    func form(_ text: String, _ expected: String?) {
        let key = text.replacing("HASH", with: String(repeating: "e", count: 64))
        #expect(LMCacheKey.groupPrefix(of: Array(key.utf8)) == expected.map { Array($0.utf8) })
    }

    @Test("leases what EXISTS reported, for a while")
    func existsLease() async throws {
        try await TestNode.with { configuration, _ in
            configuration.memoryByteCount = 16 << 20
            configuration.existsLease = .milliseconds(700)
            configuration.limits.spaceTimeout = .milliseconds(50)
        } _: { node in
            let client = try node.connect()
            let value = [UInt8](repeating: 1, count: 3 << 20)
            func put(_ name: String) throws -> String {
                try client.request(bytes: [Array("SET".utf8), Array(name.utf8), value])
                return try client.receiveLine()
            }
            #expect(try put("promised") == "+OK\r\n")
            #expect(try client.ask("EXISTS", "promised") == ":1\r\n")
            for index in 0..<12 { _ = try put("filler\(index)") }
            #expect(try client.ask("STRLEN", "promised") == ":\(value.count)\r\n", "leased, so not evicted")
            try await Task.sleep(for: .milliseconds(900))
            for index in 0..<12 { _ = try put("filler\(index)x") }
            #expect(try client.ask("STRLEN", "promised") == ":0\r\n", "the lease is over")
        }
    }
}

@Suite("LMCache's lm:// protocol")
struct LMProtocolTests {
    private func request(
        _ verb: Int32,
        _ key: String,
        _ shape: [Int32] = [0, 0, 0, 0, 0, 0],
        length: Int32 = 0
    ) -> [UInt8] {
        let words: [Int32] = [verb, length, shape[0], shape[1], 0] + shape[2...]
        let padded = Array(key.utf8) + [UInt8](repeating: 0x20, count: 150 - key.utf8.count)
        return words.flatMap(bytes) + padded
    }

    private func bytes(_ word: Int32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * Int32($0))) }
    }

    private func reply(_ words: [Int32]) -> [UInt8] { words.flatMap(bytes) }

    private let shape: [Int32] = [1, 3, 2, 8, 256, 128]

    @Test("puts without a reply, tells what it holds, and returns it with its shape")
    func roundTrip() async throws {
        try await TestNode.with { node in
            let client = try node.connectLM()
            var random = SeededRandom(seed: 3)
            for count in [0, 1, 100, 70_000, 1 << 20] {
                let value = random.bytes(count)
                try client.send(request(1, "k\(count)", shape, length: Int32(count)) + value)
                try client.send(request(3, "k\(count)"))
                #expect(try client.receive(36).prefix(4) == bytes(200)[...])
                try client.send(request(2, "k\(count)"))
                #expect(try client.receive(36) == reply([200, Int32(count), 1, 3, 2, 8, 256, 128, 1]))
                #expect(try client.receive(count) == value)
            }
            try client.send(request(2, "missing"))
            #expect(try client.receive(36) == reply([400, 0, 0, 0, 0, 0, 0, 0, 0]))
            try client.send(request(3, "missing"))
            #expect(try client.receive(36).prefix(4) == bytes(400)[...])
            try client.send(request(5, ""))
            #expect(try client.receive(36).prefix(4) == bytes(200)[...])
            let latencies = try node.latencies()
            #expect(latencies["latency_get_total_requests"] == 6)
            #expect(latencies["latency_match_total_requests"] == 6)
            #expect(latencies["latency_put_total_requests"] == 0, "nobody waits for a put")
            #expect(latencies["latency_other_total_requests"] == 1)
            #expect(try node.connect().ask("EXISTS", "k100") == ":0\r\n", "its keys are apart from Redis's")
        }
    }

    @Test("a put that is refused is drained and counted")
    func refused() async throws {
        try await TestNode.with { configuration, _ in
            configuration.memoryByteCount = 16 << 20
            configuration.limits.spaceTimeout = .milliseconds(50)
        } _: { node in
            let client = try node.connectLM()
            let count = 17 << 20
            try client.send(
                request(1, "k", shape, length: Int32(count)) + [UInt8](repeating: 1, count: count)
            )
            try client.send(request(3, "k"))
            #expect(try client.receive(36).prefix(4) == bytes(400)[...])
            #expect(try node.counters.lmPutsRefused.value == 1)
        }
    }

    @Test("a negative length or an unknown verb ends the connection")
    func malformed() async throws {
        try await TestNode.with { node in
            for input in [request(1, "k", shape, length: -1), request(9, "k")] {
                let client = try node.connectLM()
                try client.send(input)
                #expect(try client.receiveToEnd().isEmpty)
            }
            #expect(try node.counters.protocolErrors.value == 2)
        }
    }

    @Test("requests may arrive in any pieces")
    func pieces() async throws {
        try await TestNode.with { node in
            let client = try node.connectLM()
            let value = SeededRandomBytes.make(300)
            for byte in request(1, "k", shape, length: 300) + value + request(2, "k") {
                try client.send([byte])
            }
            #expect(try client.receive(36) == reply([200, 300, 1, 3, 2, 8, 256, 128, 1]))
            #expect(try client.receive(300) == value)
        }
    }

    @Test("listens on 127.0.0.1 whatever the host")
    func loopback() async throws {
        let users = try UserFile(parsing: "u:t:read:\(try UserFile.hash(password: "p"))")
        try await TestNode.with { configuration, _ in
            configuration.host = "0.0.0.0"
            configuration.users = users
        } _: { node in
            #expect(node.addresses.host == "0.0.0.0")
            let text = try String(contentsOfFile: "/proc/net/tcp", encoding: .utf8)
            let port = String(node.addresses.lmPort ?? 0, radix: 16, uppercase: true)
            let padded = String(repeating: "0", count: 4 - port.count) + port
            #expect(text.contains("0100007F:\(padded) 00000000:0000 0A"))
            #expect(!text.contains("00000000:\(padded) 00000000:0000 0A"))
        }
    }
}
