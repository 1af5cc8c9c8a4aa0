import ControlAPI
import ControlPlane
import Foundation
import GRPCCore
import MemoryTier
import SwiftProtobuf
import Testing
import Tiering

@testable import Node

@Suite("Users of the control plane")
struct ControlUserTests {
    private static let users = Result {
        try UserFile(
            parsing: """
                writer:team-a:read,write:\(try hash("secret-a"))
                reader:team-a:read:\(try hash("secret-r"))
                boss:team-b:read,write,admin:\(try hash("secret-b"))
                ops:team-b:read,operator:\(try hash("secret-o"))
                """
        )
    }

    /// A hash with few rounds: a debug build takes a second for one as they should be.
    private static func hash(_ password: String) throws -> String {
        try PasswordHash(password: password, log2Rounds: 10).text
    }

    private func withUsers(_ user: String?, _ body: (ControlNode, ControlClient) async throws -> Void)
        async throws
    {
        let users = try Self.users.get()
        try await ControlNode.with(
            { configuration, _ in
                configuration.users = users
                configuration.controlLimits.refusalDelay = .milliseconds(5)
            },
            user: user,
            body
        )
    }

    @Test(
        "without the right password nothing but health is answered",
        arguments: [nil, "writer:wrong", "nobody:secret-a", "writer", ":", "secret-a"]
    )
    func wrongPassword(user: String?) async throws {
        try await withUsers(user) { node, client in
            let described = try await status { _ = try await client.describe() }
            #expect(described == .unauthenticated)
            let put = try await status { try await client.put("", [1], [1]) }
            #expect(put == .unauthenticated)
            let subscribed = try await status {
                try await client.events.subscribe(.init(), metadata: client.metadata) { response in
                    for try await _ in response.messages {}
                }
            }
            #expect(subscribed == .unauthenticated)
            let health = try await client.health.check(.init())
            #expect(health.status == .serving)
        }
    }

    @Test("scopes are those of the RESP verbs")
    func scopes() async throws {
        try await withUsers("writer:secret-a") { node, writer in
            let ns = try await writer.describe()
            try await writer.put(ns, [1], [1])
            #expect(try await status { _ = try await clear(ns, writer) } == .permissionDenied)
            #expect(
                try await status { _ = try await writer.control.stats(.init(), metadata: writer.metadata) }
                    == .permissionDenied
            )
            let own = try await writer.control.stats(
                .with { $0.namespaceID = ns },
                metadata: writer.metadata
            )
            #expect(!own.figure.isEmpty)
            try await node.withClient(user: "reader:secret-r") { reader in
                let block = try await reader.get(ns, [1])
                #expect(block.payload == [1])
                let put = try await status { try await reader.put(ns, [2], [1]) }
                #expect(put == .permissionDenied)
                for change in [pin, unpin, evict] {
                    let changed = try await status { try await change(ns, reader) }
                    #expect(changed == .permissionDenied)
                }
            }
            try await node.withClient(user: "boss:secret-b") { boss in
                let ofNode = try await status {
                    _ = try await boss.control.stats(.init(), metadata: boss.metadata)
                }
                #expect(ofNode == .permissionDenied, "an admin is one of its tenant, not of the node")
            }
            try await node.withClient(user: "ops:secret-o") { ops in
                _ = try await ops.control.stats(.init(), metadata: ops.metadata)
            }
        }
    }

    @Test("a tenant neither sees, lists nor clears another's blocks")
    func tenants() async throws {
        try await withUsers("writer:secret-a") { node, writer in
            let ns = try await writer.describe()
            try await writer.put(ns, [1], [1])
            try await node.withClient(user: "boss:secret-b") { boss in
                let before = try await boss.control.listNamespaces(.init(), metadata: boss.metadata)
                #expect(before.namespace.isEmpty)
                let other = try await boss.describe("other")
                let listed = try await boss.control.listNamespaces(.init(), metadata: boss.metadata)
                #expect(listed.namespace.map(\.id) == [other])
                for unknown in [ns, String(repeating: "0", count: 64)] {
                    #expect(try await status { _ = try await boss.explain(unknown, [1]) } == .notFound)
                    #expect(try await status { _ = try await boss.get(unknown, [1]) } == .notFound)
                    #expect(try await status { _ = try await clear(unknown, boss) } == .notFound)
                    #expect(
                        try await status {
                            _ = try await boss.control.stats(
                                .with { $0.namespaceID = unknown },
                                metadata: boss.metadata
                            )
                        } == .notFound
                    )
                }
                let listedStill = try await boss.control.listNamespaces(.init(), metadata: boss.metadata)
                #expect(listedStill.namespace.map(\.id) == [other], "naming an id makes nothing known")
            }
            #expect(try await writer.get(ns, [1]).payload == [1])
        }
    }

    @Test("without users only this machine's addresses are bound")
    func loopback() async throws {
        await #expect(throws: (any Error).self) {
            _ = try await ControlNode { configuration, _ in configuration.controlHost = "0.0.0.0" }
        }
    }

    private func clear(_ ns: String, _ client: ControlClient) async throws -> Larder_V1_ClearResponse {
        try await client.control.clear(
            .with {
                $0.namespaceID = ns
                $0.confirm = ns
            },
            metadata: client.metadata
        )
    }

    private func pin(_ ns: String, _ client: ControlClient) async throws {
        _ = try await client.control.pin(
            .with {
                $0.namespaceID = ns
                $0.keys = keys([1])
            },
            metadata: client.metadata
        )
    }

    private func unpin(_ ns: String, _ client: ControlClient) async throws {
        _ = try await client.control.unpin(
            .with {
                $0.namespaceID = ns
                $0.keys = keys([1])
            },
            metadata: client.metadata
        )
    }

    private func evict(_ ns: String, _ client: ControlClient) async throws {
        _ = try await client.control.evict(
            .with {
                $0.namespaceID = ns
                $0.keys = keys([1])
            },
            metadata: client.metadata
        )
    }
}
