import Foundation
import TestSupport
import Testing

@testable import Node

@Suite("A node")
struct NodeLifecycleTests {
    @Test("makes a Unix socket that only its owner may use, replaces a stale one and removes it at the end")
    func unixSocket() async throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/n.sock"
        close(try UnixSocket.listen(at: path))
        try await TestNode.with { configuration, _ in
            configuration.unixPath = path
        } _: { node in
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(mode == 0o600)
            #expect(try node.connectLocally().ask("PING") == "+PONG\r\n")
            #expect(throws: (any Error).self) { try UnixSocket.listen(at: path) }
        }
        #expect(!FileManager.default.fileExists(atPath: path))
        try Data("mine".utf8).write(to: URL(filePath: path))
        #expect(throws: (any Error).self) { try UnixSocket.listen(at: path) }
        #expect(FileManager.default.fileExists(atPath: path))
    }

    @Test("finishes what was begun, refuses what is new, and ends")
    func drain() async throws {
        try await TestNode.with { node in
            let idle = try node.connect()
            #expect(try idle.ask("PING") == "+PONG\r\n")
            let busy = try node.connect()
            try busy.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$300000\r\n")
            try await eventually { node.figure("memory_reserved_bytes") > 0 }
            let running = node.node
            async let stopping: Void = running.drainAndStop()
            #expect(try idle.isClosed(within: 3000))
            try busy.send([UInt8](repeating: 1, count: 300_000) + [13, 10])
            #expect(try busy.receiveLine() == "+OK\r\n")
            #expect(try busy.isClosed(within: 3000))
            await stopping
            #expect(throws: (any Error).self) { try node.connect().ask("PING") }
            await node.node.run()
        }
    }

    @Test("keeps its blocks over a restart when it has a directory")
    func restart() async throws {
        let directory = try TemporaryDirectory()
        func change(_ configuration: inout NodeConfiguration, _: String) {
            configuration.dataDirectory = "\(directory.path)/data"
            configuration.diskByteCount = 256 << 20
        }
        let value = SeededRandomBytes.make(500_000)
        try await TestNode.with(change) { node in
            let client = try node.connect()
            try client.request(bytes: [Array("SET".utf8), Array("k".utf8), value])
            #expect(try client.receiveLine() == "+OK\r\n")
        }
        let secret = try FileManager.default.attributesOfItem(atPath: "\(directory.path)/data/secret")
        #expect(secret[.posixPermissions] as? Int == 0o600)
        try await TestNode.with(change) { node in
            let client = try node.connect()
            try client.request("GET", "k")
            #expect(try client.receiveLine() == "$500000\r\n")
            #expect(try client.receive(500_002) == value + [13, 10])
        }
    }

    @Test("starts with another secret when its own is damaged", arguments: [0, 31, 39])
    func damagedSecret(byte: Int) async throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/data/secret"
        func change(_ configuration: inout NodeConfiguration, _: String) {
            configuration.dataDirectory = "\(directory.path)/data"
            configuration.diskByteCount = 256 << 20
        }
        try await TestNode.with(change) { node in
            let client = try node.connect()
            #expect(try client.ask("SET", "k", "v") == "+OK\r\n")
        }
        var bytes = try Data(contentsOf: URL(filePath: path))
        bytes[byte] ^= 4
        try bytes.write(to: URL(filePath: path))
        for value in ["new", "newer"] {
            try await TestNode.with(change) { node in
                let client = try node.connect()
                #expect(try client.ask("GET", "k") == (value == "new" ? "$-1\r\n" : "$3\r\nnew\r\n"))
                #expect(try client.ask("SET", "k", value) == "+OK\r\n")
            }
        }
        #expect(try Data(contentsOf: URL(filePath: "\(path)-damaged")) == bytes)
    }

    @Test("starts only once")
    func once() async throws {
        try await TestNode.with { node in
            await #expect(throws: (any Error).self) { try await node.node.start() }
        }
    }
}
