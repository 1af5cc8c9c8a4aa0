import ControlAPI
import ControlPlane
import GRPCCore
import MemoryTier
import Node
import SwiftProtobuf
import Testing
import Tiering

@Suite("Health of the control plane")
struct HealthTests {
    @Test(
        "the node and each service serve",
        arguments: ["", "larder.v1.Control", "larder.v1.Blocks", "larder.v1.Events"]
    )
    func check(service: String) async throws {
        try await ControlNode.with { _, client in
            let answer = try await client.health.check(.with { $0.service = service })
            #expect(answer.status == .serving)
        }
    }

    @Test("a service that is not there is NOT_FOUND, and SERVICE_UNKNOWN to those who watch")
    func unknown() async throws {
        try await ControlNode.with { _, client in
            #expect(
                try await status { _ = try await client.health.check(.with { $0.service = "x" }) }
                    == .notFound
            )
            try await client.health.watch(.with { $0.service = "x" }) { response in
                var messages = response.messages.makeAsyncIterator()
                let first = try await messages.next(isolation: #isolation)
                #expect(first?.status == .serviceUnknown)
            }
        }
    }

    @Test("who watches is told when the node drains, before it has gone")
    func drain() async throws {
        try await ControlNode.with { node, client in
            try await client.health.watch(.init()) { response in
                var messages = response.messages.makeAsyncIterator()
                let first = try await messages.next(isolation: #isolation)
                #expect(first?.status == .serving)
                async let stopped: Void = node.node.drainAndStop()
                let second = try await messages.next(isolation: #isolation)
                #expect(second?.status == .notServing)
                let end = try await messages.next(isolation: #isolation)
                #expect(end == nil)
                await stopped
            }
        }
    }
}
