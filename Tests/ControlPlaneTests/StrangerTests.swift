import ControlAPI
import ControlPlane
import Foundation
import GRPCCore
import SwiftProtobuf
import Testing

@testable import Node

@Suite("Strangers at the control plane")
struct StrangerTests {
    private static let users = Result {
        try UserFile(
            parsing: """
                writer:team-a:read,write:\(try hash("secret"))
                reader:team-a:read:\(try hash("secret"))
                """
        )
    }

    private static func hash(_ password: String) throws -> String {
        try PasswordHash(password: password, log2Rounds: 10).text
    }

    private static let health = "/grpc.health.v1.Health/Check"
    private static let watch = "/grpc.health.v1.Health/Watch"

    private func count(_ event: ControlCounters.Event, _ node: ControlNode) -> Int {
        node.node.services?.controlCounters?.count(of: event) ?? 0
    }

    private func connect(_ node: ControlNode) throws -> RawConnection {
        try RawConnection(port: node.addresses.controlPort ?? 0)
    }

    @Test(
        "health and users are answered while hundreds of calls hold their request back",
        arguments: [health, watch]
    )
    func healthAlways(path: String) async throws {
        try await ControlNode.with { node, client in
            let strangers = try (0..<3).map { _ in try connect(node) }
            for stranger in strangers {
                try stranger.begin()
                for call in 0..<90 { try stranger.call(path, stream: 2 * call + 1) }
            }
            let event: ControlCounters.Event =
                path == Self.health ? .healthChecksReplaced : .healthWatchesRefused
            try await eventually { count(event, node) >= 200 }
            #expect(try await client.health.check(.init()).status == .serving)
            _ = try await client.describe()
            try await node.withClient { other in
                let status = try await other.health.check(.init()).status
                #expect(status == .serving)
            }
            withExtendedLifetime(strangers) {}
        }
    }

    @Test(
        "a call whose message does not come is ended",
        arguments: [health, watch, "/larder.v1.Control/Stats"]
    )
    func firstMessage(path: String) async throws {
        try await ControlNode.with { configuration, _ in
            configuration.controlLimits.firstMessageTimeout = .milliseconds(200)
            configuration.controlLimits.callCountMax = 1
        } _: { node, client in
            let stranger = try connect(node)
            try stranger.begin()
            try stranger.call(path, stream: 1)
            try await eventually { count(.callsTimedOut, node) >= 1 }
            try await eventually { try await status { _ = try await client.describe() } == nil }
            withExtendedLifetime(stranger) {}
        }
    }

    @Test("silent connections make room for new ones, and a user's connection does not")
    func silentConnections() async throws {
        try await ControlNode.with { configuration, _ in
            configuration.controlLimits.connectionCountMax = 4
            configuration.controlLimits.firstCallTimeout = .seconds(3_600)
        } _: { node, client in
            _ = try await client.describe()
            let strangers = try (0..<8).map { _ in try connect(node) }
            try await eventually { count(.connectionsReplaced, node) >= 5 }
            _ = try await client.describe()
            try await node.withClient { other in
                _ = try await other.describe()
            }
            #expect(count(.connectionsRefused, node) == 0)
            withExtendedLifetime(strangers) {}
        }
    }

    @Test(
        "a connection without a call is closed, whether it has begun HTTP/2 or not",
        arguments: [false, true]
    )
    func withoutCall(begins: Bool) async throws {
        try await ControlNode.with { configuration, _ in
            configuration.controlLimits.firstCallTimeout = .milliseconds(200)
        } _: { node, client in
            _ = try await client.describe()
            let stranger = try connect(node)
            if begins { try stranger.begin() }
            #expect(await stranger.isClosed)
            #expect(count(.connectionsWithoutCall, node) == 1)
            _ = try await client.describe()
        }
    }

    @Test("no more than a bounded number of bytes is read from a connection that no user has made a call on")
    func bytes() async throws {
        let users = try Self.users.get()
        try await ControlNode.with(
            { configuration, _ in
                configuration.users = users
                configuration.controlLimits.strangerByteCountMax = 4_096
            },
            user: "writer:secret"
        ) { node, client in
            let stranger = try connect(node)
            try stranger.begin()
            try stranger.call(Self.health, stream: 1)
            try stranger.message(stream: 1, announced: 2 << 20, sent: 8_000)
            try await eventually { count(.strangersPaused, node) >= 1 }
            let ns = try await client.describe()
            let payload = [UInt8](repeating: 7, count: 3 << 20)
            try await client.put(ns, [1], payload)
            #expect(try await client.get(ns, [1]).payload == payload, "a user's bytes are not counted")
            withExtendedLifetime(stranger) {}
        }
    }

    @Test("who is not known takes no place of those who are")
    func authenticationFirst() async throws {
        let users = try Self.users.get()
        try await ControlNode.with(
            { configuration, _ in
                configuration.users = users
                configuration.controlLimits.callCountMax = 1
                configuration.controlLimits.refusalDelay = .seconds(5)
            },
            user: "writer:secret"
        ) { node, client in
            let stranger = try connect(node)
            try stranger.begin()
            let wrong = "Basic \(Data("writer:wrong".utf8).base64EncodedString())"
            try stranger.call("/larder.v1.Control/Stats", stream: 1, authorization: wrong)
            try stranger.call("/larder.v1.Control/Stats", stream: 3)
            try await eventually { count(.authenticationFailures, node) == 1 }
            _ = try await client.describe()
            withExtendedLifetime(stranger) {}
        }
    }

    @Test("wrong passwords are counted by connection, and too many close it")
    func wrongPasswords() async throws {
        let users = try Self.users.get()
        try await ControlNode.with { configuration, _ in
            configuration.users = users
            configuration.controlLimits.refusalDelay = .milliseconds(5)
            configuration.controlLimits.closingDelay = .milliseconds(50)
        } _: { node, _ in
            let stranger = try connect(node)
            try stranger.begin()
            let wrong = "Basic \(Data("writer:wrong".utf8).base64EncodedString())"
            for call in 0..<5 {
                try stranger.call("/larder.v1.Control/Stats", stream: 2 * call + 1, authorization: wrong)
            }
            #expect(await stranger.isClosed)
            #expect(count(.connectionsFailed, node) == 1)
            #expect(count(.authenticationFailures, node) == 5)
        }
    }

    @Test("one user does not take all calls")
    func userCalls() async throws {
        let users = try Self.users.get()
        try await ControlNode.with(
            { configuration, _ in
                configuration.users = users
                configuration.controlLimits.callsPerUserMax = 1
            },
            user: "writer:secret"
        ) { node, writer in
            let ns = try await writer.describe()
            let subscription = Task {
                try await writer.events.subscribe(.init(), metadata: writer.metadata) { response in
                    for try await _ in response.messages {}
                }
            }
            try await eventually {
                try await status { _ = try await writer.explain(ns, [1]) } == .resourceExhausted
            }
            #expect(count(.callsRefused, node) >= 1)
            try await node.withClient(user: "reader:secret") { reader in
                let reason = try await reader.explain(ns, [1])
                #expect(reason == .neverSeen)
            }
            subscription.cancel()
            _ = await subscription.result
        }
    }

    @Test("a user who may only read describes no new namespace")
    func readersDescribe() async throws {
        let users = try Self.users.get()
        try await ControlNode.with({ configuration, _ in configuration.users = users }, user: "writer:secret")
        {
            node,
            writer in
            try await node.withClient(user: "reader:secret") { reader in
                let early = try await status { _ = try await reader.describe() }
                #expect(early == .permissionDenied)
                let ns = try await writer.describe()
                let again = try await reader.describe()
                #expect(again == ns)
            }
        }
    }

    @Test("each method is allowed by exactly its scope", arguments: Permission.allCases)
    func scopes(_ scope: Permission) async throws {
        let line = "x:t:\(scope.rawValue):\(try PasswordHash(password: "s", log2Rounds: 10).text)"
        let other = "y:t:operator:\(try PasswordHash(password: "s", log2Rounds: 10).text)"
        let users = try UserFile(parsing: "\(line)\n\(other)")
        try await ControlNode.with({ configuration, _ in configuration.users = users }, user: "x:s") {
            _,
            client in
            let (control, metadata) = (client.control, client.metadata)
            let calls: [(name: String, needs: Permission, call: () async throws -> Void)] = [
                ("Match", .read, { _ = try await control.match(.init(), metadata: metadata) }),
                ("Explain", .read, { _ = try await control.explain(.init(), metadata: metadata) }),
                ("Pin", .write, { _ = try await control.pin(.init(), metadata: metadata) }),
                ("Unpin", .write, { _ = try await control.unpin(.init(), metadata: metadata) }),
                ("Prefetch", .read, { _ = try await control.prefetch(.init(), metadata: metadata) }),
                ("Evict", .write, { _ = try await control.evict(.init(), metadata: metadata) }),
                ("Clear", .admin, { _ = try await control.clear(.init(), metadata: metadata) }),
                (
                    "DescribeNamespace", .read,
                    { _ = try await control.describeNamespace(.init(), metadata: metadata) }
                ),
                (
                    "ListNamespaces", .read,
                    { _ = try await control.listNamespaces(.init(), metadata: metadata) }
                ),
                ("ClusterView", .read, { _ = try await control.clusterView(.init(), metadata: metadata) }),
                (
                    "Stats", .read,
                    { _ = try await control.stats(.with { $0.namespaceID = "0" }, metadata: metadata) }
                ),
                (
                    "Warm", .read,
                    {
                        try await control.warm(.init(), metadata: metadata) {
                            for try await _ in $0.messages {}
                        }
                    }
                ),
                (
                    "Drain", .operator,
                    {
                        try await control.drain(.init(), metadata: metadata) {
                            for try await _ in $0.messages {}
                        }
                    }
                ),
                ("Put", .write, { _ = try await client.put("", [1], [1]) }),
                ("Get", .read, { _ = try await client.get("", [1]) }),
            ]
            for (name, needs, call) in calls {
                let isDenied = try await status(call) == .permissionDenied
                #expect(isDenied == (needs != scope), "\(name) with \(scope.rawValue)")
            }
        }
    }
}
