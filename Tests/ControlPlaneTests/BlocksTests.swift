import Blocks
import ControlAPI
import ControlPlane
import Foundation
import GRPCCore
import MemoryTier
import Node
import SwiftProtobuf
import TestSupport
import Testing
import Tiering

@Suite("Blocks over gRPC")
struct BlocksTests {
    @Test("what is put comes back, in pieces of at most 1 MiB", arguments: [1, 1 << 20, 3 << 20 + 17])
    func roundTrip(byteCount: Int) async throws {
        try await ControlNode.with { _, client in
            let ns = try await client.describe()
            let payload = randomBytes(byteCount)
            #expect(
                try await client.put(ns, [1], payload, pieceByteCount: 300_000) { $0.tokens = 16 } == .stored
            )
            #expect(try await client.put(ns, [1], payload) == .exists)
            let block = try await client.get(ns, [1])
            #expect(block.payload == payload)
            #expect(block.header.payloadBytes == UInt64(byteCount))
            #expect(block.header.checksum == checksum(of: payload))
            #expect(block.header.tokens == 16)
            #expect(block.pieces.allSatisfy { $0 <= 1 << 20 })
            #expect(try await status { try await client.put(ns, [1], payload + [1]) } == .alreadyExists)
            #expect(try await status { _ = try await client.get(ns, [2]) } == .notFound)
        }
    }

    @Test("a payload that is not the announced one leaves nothing")
    func mismatch() async throws {
        try await ControlNode.with { node, client in
            let ns = try await client.describe()
            let payload = randomBytes(100_000)
            let wrong: [(@Sendable (inout Larder_V1_PutHeader) -> Void, RPCError.Code)] = [
                ({ $0.checksum ^= 1 }, .dataLoss),
                ({ $0.payloadBytes += 1 }, .invalidArgument),
                ({ $0.payloadBytes -= 1 }, .invalidArgument),
                ({ $0.payloadBytes = 0 }, .invalidArgument),
                ({ $0.payloadBytes = .max }, .invalidArgument),
                ({ $0.key = Data() }, .invalidArgument),
                ({ $0.namespaceID = String(repeating: "0", count: 64) }, .notFound),
                ({ $0.timeToLiveMilliseconds = .max }, .invalidArgument),
            ]
            for (change, code) in wrong {
                let result = try await status {
                    try await client.put(ns, [1], payload, pieceByteCount: 30_000, change)
                }
                #expect(result == code)
                #expect(try await client.explain(ns, [1]) == .neverSeen)
            }
            // The room goes when the last of the call has gone.
            try await eventually { try node.store.statistics().integer("memory_reserved_bytes") == 0 }
            #expect(try await client.put(ns, [1], payload) == .stored)
        }
    }

    @Test("pieces before the header, a second header and pieces too large are refused")
    func order() async throws {
        try await ControlNode.with { _, client in
            let ns = try await client.describe()
            let header = Larder_V1_PutRequest.with {
                $0.header = .with {
                    $0.namespaceID = ns
                    $0.key = Data([1])
                    $0.payloadBytes = 1_500_000
                }
            }
            let piece = Larder_V1_PutRequest.with { $0.piece = Data([1]) }
            let large = Larder_V1_PutRequest.with { $0.piece = Data(count: 1_500_000) }
            for parts in [[piece], [header, header], [header, large], [header, .init()], []] {
                let result = try await status {
                    _ = try await client.blocks.put { writer in
                        for part in parts { try await writer.write(part) }
                    }
                }
                #expect(result == .invalidArgument)
            }
            let huge = Larder_V1_PutRequest.with { $0.piece = Data(count: 3 << 20) }
            let result = try await status {
                _ = try await client.blocks.put { writer in
                    try await writer.write(header)
                    try await writer.write(huge)
                }
            }
            #expect(result != nil)
            #expect(try await client.explain(ns, [1]) == .neverSeen)
        }
    }

    @Test("a client that goes in the middle of a put leaves nothing")
    func abandoned() async throws {
        try await ControlNode.with { node, client in
            let ns = try await client.describe()
            let reserved = AsyncStream.makeStream(of: Void.self)
            let put = Task {
                try await client.blocks.put { writer in
                    try await writer.write(
                        .with {
                            $0.header = .with {
                                $0.namespaceID = ns
                                $0.key = Data([1])
                                $0.payloadBytes = 2 << 20
                            }
                        }
                    )
                    try await writer.write(.with { $0.piece = Data(count: 1 << 20) })
                    reserved.continuation.finish()
                    try await Task.sleep(for: .seconds(3_600))
                }
            }
            for await _ in reserved.stream {}
            try await eventually { try node.store.statistics().integer("memory_reserved_bytes") > 0 }
            put.cancel()
            _ = try? await put.value
            try await eventually { try node.store.statistics().integer("memory_reserved_bytes") == 0 }
            #expect(try await client.explain(ns, [1]) == .neverSeen)
        }
    }

    @Test("a block whose bytes changed in memory ends with DATA_LOSS before it is whole, and is gone")
    func damaged() async throws {
        try await ControlNode.with { node, client in
            let ns = try await client.describe()
            let payload = randomBytes(3 << 20)
            try await client.put(ns, [1], payload)
            try Self.damage(ns, [1], in: node)
            let received = try await client.blocks.get(
                .with {
                    $0.namespaceID = ns
                    $0.key = Data([1])
                }
            ) { response in
                var byteCount = 0
                do {
                    for try await message in response.messages { byteCount += message.piece.count }
                } catch let error as RPCError {
                    return (byteCount, error.code)
                }
                return (byteCount, .unknown)
            }
            #expect(received.0 < payload.count)
            #expect(received.1 == .dataLoss)
            #expect(try await status { _ = try await client.get(ns, [1]) } == .notFound)
            #expect(try await client.explain(ns, [1]) == .corrupt)
        }
    }

    /// Flips a bit behind the node's back.
    private static func damage(_ ns: String, _ key: [UInt8], in node: ControlNode) throws {
        let store = try node.store
        let namespace = try #require(NamespaceID(hexadecimal: Array(ns.utf8)))
        let space = try #require(store.space(tenant: .default, namespace: namespace))
        let keys = KeyBatch([try BlockKey(key)])
        guard case .memory(let lease) = store.lookup(space, key: keys[0]) else {
            throw TestError("not in memory")
        }
        unsafe UnsafeMutableRawBufferPointer(mutating: lease.payload)[1_000] ^= 4
    }
}

private func randomBytes(_ count: Int) -> [UInt8] {
    var random = SeededRandom(seed: 7)
    return random.bytes(count)
}
