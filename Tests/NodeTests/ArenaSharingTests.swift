import Blocks
import Glibc
import TestSupport
import Testing
import Tiering

@testable import Node

@Suite("Memory is shared with one tenant only")
struct ArenaSharingTests {
    private static func users(_ tenants: String...) throws -> UserFile {
        let password = try PasswordHash(password: "pw", log2Rounds: 10).text
        return try UserFile(
            parsing: tenants.map { "u-\($0):\($0):read,write:\(password)" }.joined(separator: "\n")
        )
    }

    private func client(_ node: TestNode, _ tenant: String) throws -> WireClient {
        let client = try node.connectLocally()
        #expect(try client.ask("AUTH", "u-\(tenant)", "pw") == "+OK\r\n")
        return client
    }

    private func isAttached(_ client: WireClient) throws -> Bool {
        try client.request("KV.ATTACH")
        let descriptor = try client.receiveDescriptor()
        if descriptor >= 0 { close(descriptor) }
        let reply = try client.receiveReply()
        #expect(descriptor >= 0 || reply.hasPrefix("-NOPERM"))
        return descriptor >= 0
    }

    @Test("blocks of another tenant in RAM that outlived a restart are shown to nobody")
    func restart() async throws {
        let directory = try TemporaryDirectory()
        let memory = "/dev/shm/larder-test-\(UInt64.random(in: 0...UInt64.max))"
        defer { unsafe _ = unlink(memory) }
        for (tenant, isAlone) in [("ta", true), ("tb", false), ("ta", false)] {
            let users = try Self.users(tenant)
            try await TestNode.with({ configuration, _ in
                configuration.users = users
                configuration.dataDirectory = "\(directory.path)/data"
                configuration.diskByteCount = 64 << 20
                configuration.memoryFile = .path(memory)
            }) { node in
                let client = try client(node, tenant)
                let space = try client.describeEmpty()
                #expect(try client.ask("KV.PUT", space, "BLOCKS", "1", "k", tenant) == "*1\r\n+stored\r\n")
                #expect(try isAttached(client) == isAlone)
                #expect(try client.ask("KV.BORROW", space, "KEYS", "1", "k").hasPrefix("-NOPERM") != isAlone)
                _ = try client.ask("KV.DEL", space, "KEYS", "1", "k")
            }
        }
    }

    @Test("once it is shared, another tenant's blocks are kept out by every door, and the others go on")
    func keptOut() async throws {
        let users = try Self.users("ta")
        try await TestNode.with({ configuration, _ in configuration.users = users }) { node in
            let client = try client(node, "ta")
            let space = try client.describeEmpty()
            #expect(try isAttached(client))
            #expect(try client.ask("KV.PUT", space, "BLOCKS", "1", "k", "v") == "*1\r\n+stored\r\n")
            // lm:// knows no users: its blocks are the default tenant's.
            let store = try #require(node.node.store)
            let foreign = store.space(tenant: .default, service: "lm")
            #expect(throws: CacheError.self) {
                _ = try unsafe store.reserve(foreign, key: Array("x".utf8).span.bytes, payloadByteCount: 1)
            }
            #expect(node.figure("refused_shared_memory") == 1)
            #expect(try client.ask("KV.GET", space, "KEYS", "1", "k") == "*1\r\n$1\r\nv\r\n")
        }
    }

    @Test("a node whose cluster keeps users of other tenants shares nothing, whoever is first")
    func sharedUsers() async throws {
        let users = try Self.users("ta")
        let other = try Self.users("tb").users.values
        try await TestNode.with({ configuration, _ in configuration.users = users }) { node in
            let authenticator = try #require(node.node.services?.authenticator)
            authenticator.share(Dictionary(uniqueKeysWithValues: other.map { ($0.name, $0) }))
            #expect(try !isAttached(client(node, "ta")))
            authenticator.share([:])
            #expect(try isAttached(client(node, "ta")))
        }
    }
}
