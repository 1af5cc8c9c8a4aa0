import Foundation
import Testing

@testable import Node

@Suite("Limits hold, are counted, and leave the neighbours alone")
struct LimitTests {
    @Test("a connection too many is told so and closed")
    func connections() async throws {
        try await TestNode.with { configuration, _ in
            configuration.limits.connectionCountMax = 2
        } _: { node in
            let first = try node.connect()
            let second = try node.connect()
            #expect(try first.ask("PING") == "+PONG\r\n")
            #expect(try second.ask("PING") == "+PONG\r\n")
            #expect(try node.connect().receiveToEnd() == "-ERR max number of clients reached\r\n")
            #expect(try first.ask("PING") == "+PONG\r\n")
            #expect(try node.counters.connectionsRefused.value == 1)
        }
    }

    @Test("a bulk string over 512 MiB, or too many arguments, end the connection before memory is taken")
    func frames() async throws {
        try await TestNode.with { node in
            let client = try node.connect()
            try client.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870913\r\n")
            #expect(try client.receiveToEnd() == "-ERR Protocol error: invalid bulk length\r\n")
            let other = try node.connect()
            try other.send("*40001\r\n")
            #expect(try other.receiveToEnd() == "-ERR Protocol error: invalid multibulk length\r\n")
            #expect(try node.counters.protocolErrors.value == 2)
        }
    }

    @Test("a batch over its limit is refused, and the connection goes on")
    func batch() async throws {
        try await TestNode.with { configuration, _ in
            configuration.limits.batchKeyCountMax = 3
            configuration.limits.batchBlockCountMax = 1
        } _: { node in
            let client = try node.connect()
            let ns = try client.describeEmpty()
            #expect(
                try client.ask("KV.MATCH", ns, "KEYS", "4", "a", "b", "c", "d")
                    == "-ERR KEYS takes 1 to 3, not 4\r\n"
            )
            #expect(
                try client.ask("KV.PUT", ns, "BLOCKS", "2", "a", "A", "b", "B")
                    == "-ERR BLOCKS takes 1 to 1, not 2\r\n"
            )
            #expect(try client.ask("PING") == "+PONG\r\n")
        }
    }

    @Test("a sender that stops in a payload is cut, its space freed, and the neighbour served")
    func stalledSender() async throws {
        try await TestNode.with { configuration, _ in
            configuration.limits.frameGrace = .milliseconds(300)
        } _: { node in
            let stalled = try node.connect()
            let neighbour = try node.connect()
            try stalled.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10000000\r\nabc")
            #expect(try neighbour.ask("SET", "n", "v") == "+OK\r\n")
            #expect(try stalled.isClosed(within: 4000))
            #expect(try node.counters.cutCount(.slowSender) == 1)
            try await eventually { node.figure("memory_reserved_bytes") == 0 }
            #expect(try neighbour.ask("GET", "n") == "$1\r\nv\r\n")
        }
    }

    @Test("a client that does not read is cut, and its lease ends")
    func slowReader() async throws {
        try await TestNode.with { configuration, _ in
            configuration.limits.slowReaderTimeout = .milliseconds(700)
            configuration.memoryByteCount = 128 << 20
        } _: { node in
            let reader = try WireClient(port: node.addresses.port ?? 0, receiveBufferByteCount: 4096)
            let neighbour = try node.connect()
            try neighbour.request(bytes: [
                Array("SET".utf8), Array("k".utf8), [UInt8](repeating: 1, count: 32 << 20),
            ])
            #expect(try neighbour.receiveLine() == "+OK\r\n")
            try reader.request("GET", "k")
            try await eventually { node.figure("memory_leased_bytes") > 0 }
            try await eventually { try node.counters.cutCount(.slowReader) == 1 }
            try await eventually { node.figure("memory_leased_bytes") == 0 }
            #expect(try neighbour.ask("PING") == "+PONG\r\n")
        }
    }

    @Test("pipelining without reading does not grow memory: requests wait until replies are taken")
    func pipelining() async throws {
        try await TestNode.with { configuration, _ in
            configuration.limits.outputByteCountHigh = 256 << 10
            configuration.limits.outputByteCountLow = 64 << 10
        } _: { node in
            let client = try WireClient(port: node.addresses.port ?? 0, receiveBufferByteCount: 4096)
            let value = [UInt8](repeating: 1, count: 1 << 20)
            try client.request(bytes: [Array("SET".utf8), Array("k".utf8), value])
            #expect(try client.receiveLine() == "+OK\r\n")
            let before = try node.counters.commands.value
            let gets = 100
            let one = WireClient.encode([Array("GET".utf8), Array("k".utf8)])
            try client.send(Array(repeating: one, count: gets).flatMap(\.self))
            try await Task.sleep(for: .milliseconds(300))
            let begun = try node.counters.commands.value - before
            #expect(begun < 40, "\(begun) begun although nothing is read")
            for _ in 0..<gets {
                #expect(try client.receiveLine() == "$1048576\r\n")
                #expect(try client.receive(value.count + 2).count == value.count + 2)
            }
        }
    }

    @Test("an idle connection is closed when an idle time is configured")
    func idle() async throws {
        try await TestNode.with { configuration, _ in
            configuration.limits.idleTimeout = .milliseconds(500)
        } _: { node in
            let client = try node.connect()
            #expect(try client.ask("PING") == "+PONG\r\n")
            #expect(try client.isClosed(within: 3000))
            #expect(try node.counters.cutCount(.idle) == 1)
        }
    }

    @Test("an idle connection holds no receive buffer of its own")
    func idleMemory() async throws {
        try await TestNode.with { node in
            let clients = try (0..<300).map { _ in try node.connect() }
            for client in clients { #expect(try client.ask("PING") == "+PONG\r\n") }
            let before = residentByteCount()
            let more = try (0..<300).map { _ in try node.connect() }
            for client in more { #expect(try client.ask("PING") == "+PONG\r\n") }
            let perConnection = (residentByteCount() - before) / 300
            #expect(perConnection < 64 << 10, "\(perConnection) bytes each")
        }
    }
}

/// Resident memory of this process, bytes.
private func residentByteCount() -> Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    return pages * 4096
}
