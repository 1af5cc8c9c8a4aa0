import Blocks
import MemoryTier
import TestSupport
import Testing
import Tiering

@testable import Node

@Suite("Bytes that changed in memory")
struct DamagedMemoryTests {
    /// Flips a bit of a stored value behind the node's back.
    private func damage(_ key: String, in node: TestNode, at offset: Int) throws {
        let store = try #require(node.node.store)
        let keys = KeyBatch([try BlockKey(Array(key.utf8))])
        let space = store.space(tenant: .default, database: 0)
        guard case .memory(let lease) = store.lookup(space, key: keys[0]) else {
            throw WireError(text: "\(key) is not in memory")
        }
        unsafe UnsafeMutableRawBufferPointer(mutating: lease.payload)[offset] ^= 4
    }

    private func store(_ key: String, _ value: [UInt8], _ client: WireClient) throws {
        try client.request(bytes: [Array("SET".utf8), Array(key.utf8), value])
        #expect(try client.receiveLine() == "+OK\r\n")
    }

    @Test("a short value is a miss, counted, and gone", arguments: [1, 1_000, 20_000, 128 << 10])
    func short(byteCount: Int) async throws {
        try await TestNode.with { node in
            let client = try node.connect()
            try store("key", SeededRandomBytes.make(byteCount), client)
            try store("other", [1, 2, 3], client)
            try damage("key", in: node, at: byteCount - 1)
            #expect(try client.ask("MGET", "key", "other") == "*2\r\n$-1\r\n$3\r\n\u{1}\u{2}\u{3}\r\n")
            #expect(try client.ask("GET", "key") == "$-1\r\n")
            #expect(node.figure("memory_corrupt") == 1)
            #expect(node.figure("misses_corrupt") == 2)
        }
    }

    @Test(
        "a long value never arrives whole: the connection ends before",
        arguments: [0, 2 << 20, (4 << 20) - 1]
    )
    func long(offset: Int) async throws {
        try await TestNode.with { node in
            let client = try node.connect()
            let byteCount = 4 << 20
            try store("key", SeededRandomBytes.make(byteCount), client)
            try damage("key", in: node, at: offset)
            try client.request("GET", "key")
            let receivedByteCount = try client.countToEnd()
            #expect(receivedByteCount > 0 && receivedByteCount < byteCount)
            let again = try node.connect()
            #expect(try again.ask("GET", "key") == "$-1\r\n")
            #expect(node.figure("memory_corrupt") == 1)
            #expect(node.figure("leases") == 0)
        }
    }

    @Test("part of a value is proved as a whole")
    func part() async throws {
        try await TestNode.with { node in
            let client = try node.connect()
            try store("key", SeededRandomBytes.make(1 << 20), client)
            try damage("key", in: node, at: 900_000)
            #expect(try client.ask("GETRANGE", "key", "0", "9") == "$0\r\n\r\n")
            #expect(node.figure("memory_corrupt") == 1)
        }
    }
}
