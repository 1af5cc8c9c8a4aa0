import ControlAPI
import ControlPlane
import Foundation
import GRPCCore
import MemoryTier
import Node
import SwiftProtobuf
import Testing
import Tiering

@Suite("Limits and deadlines of the control plane")
struct ControlLimitTests {
    /// Begins a put that does not go on, runs `body` meanwhile, and tells how the put ended.
    private func whilePutting(
        _ ns: String,
        _ client: ControlClient,
        in node: ControlNode,
        options: CallOptions = .defaults,
        _ body: () async throws -> Void
    ) async throws -> RPCError.Code? {
        let put = Task {
            try await client.blocks.put(options: options) { writer in
                try await writer.write(
                    .with {
                        $0.header = .with {
                            $0.namespaceID = ns
                            $0.key = Data([1])
                            $0.payloadBytes = 1 << 20
                        }
                    }
                )
                try await Task.sleep(for: .seconds(3_600))
            }
        }
        try await eventually { try node.store.statistics().integer("memory_reserved_bytes") > 0 }
        try await body()
        let result = try await status { _ = try await put.value }
        try await eventually { try node.store.statistics().integer("memory_reserved_bytes") == 0 }
        return result
    }

    @Test("a put that stops sending is ended, and its room is given back")
    func idle() async throws {
        try await ControlNode.with { configuration, _ in
            configuration.controlLimits.idleTimeout = .milliseconds(300)
        } _: { node, client in
            let ns = try await client.describe()
            #expect(try await whilePutting(ns, client, in: node) {} == .deadlineExceeded)
            #expect(try await client.explain(ns, [1]) == .neverSeen)
        }
    }

    @Test("a call longer than the node allows is ended")
    func longest() async throws {
        try await ControlNode.with { configuration, _ in
            configuration.controlLimits.transferTimeout = .milliseconds(300)
        } _: { node, client in
            let ns = try await client.describe()
            #expect(try await whilePutting(ns, client, in: node) {} == .deadlineExceeded)
        }
    }

    @Test("the client's deadline ends a call on the node too")
    func clientDeadline() async throws {
        try await ControlNode.with { node, client in
            let ns = try await client.describe()
            var options = CallOptions.defaults
            options.timeout = .milliseconds(500)
            #expect(try await whilePutting(ns, client, in: node, options: options) {} == .deadlineExceeded)
        }
    }

    @Test("transfers, their bytes, and calls have a number that they do not pass")
    func counts() async throws {
        for limit in 0..<3 {
            try await ControlNode.with { configuration, _ in
                configuration.controlLimits.idleTimeout = .seconds(2)
                switch limit {
                case 0: configuration.controlLimits.transferCountMax = 1
                case 1: configuration.controlLimits.putByteCountMax = 1_500_000
                default: configuration.controlLimits.callCountMax = 1
                }
            } _: { node, client in
                let ns = try await client.describe()
                let payload = [UInt8](repeating: 1, count: 1_000_000)
                _ = try await whilePutting(ns, client, in: node) {
                    let second = try await status { try await client.put(ns, [2], payload) }
                    #expect(second == .resourceExhausted)
                }
                try await eventually {
                    try await status { try await client.put(ns, [2], payload) } == nil
                }
            }
        }
    }

    @Test("one connection too many is closed")
    func connections() async throws {
        try await ControlNode.with { configuration, _ in
            configuration.controlLimits.connectionCountMax = 1
        } _: { node, client in
            _ = try await client.describe()
            var options = CallOptions.defaults
            options.waitForReady = false
            let fast = options
            let result = try await status {
                try await node.withClient { other in
                    _ = try await other.health.check(.init(), options: fast)
                }
            }
            #expect(result == .unavailable)
            _ = try await client.describe()
        }
    }
}
