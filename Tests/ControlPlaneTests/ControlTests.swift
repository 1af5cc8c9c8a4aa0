import Blocks
import ControlAPI
import ControlPlane
import Foundation
import GRPCCore
import MemoryTier
import Node
import SwiftProtobuf
import Testing
import Tiering

@Suite("Control over gRPC")
struct ControlTests {
    @Test("a namespace has the same identifier however it is written, and is listed")
    func namespaces() async throws {
        try await ControlNode.with { _, client in
            let id = try await client.describe()
            let same = try await client.control.describeNamespace(
                .with { $0.json = #"{ "tokens_per_block": 16, "dtype": "bfloat16", "model": "tiny" }"# }
            )
            #expect(same.namespace.id == id)
            #expect(same.namespace.json == #"{"dtype":"bfloat16","model":"tiny","tokens_per_block":16}"#)
            let listed = try await client.control.listNamespaces(.init())
            #expect(listed.namespace.map(\.id) == [id])
            #expect(
                try await status { _ = try await client.control.describeNamespace(.with { $0.json = "[]" }) }
                    == .invalidArgument
            )
        }
    }

    @Test("a match tells node, tiers, bytes, tokens and time, up to the first hole")
    func match() async throws {
        try await ControlNode.with { node, client in
            let ns = try await client.describe()
            for key in 0..<5 where key != 3 {
                try await client.put(ns, [UInt8(key)], Array(repeating: 1, count: 1 << 20)) { header in
                    header.tokens = key == 0 ? 10 : 0
                }
            }
            let response = try await client.control.match(
                .with {
                    $0.namespaceID = ns
                    $0.keys = keys([0], [1], [2], [3], [4])
                }
            )
            #expect(response.queriedBlocks == 5)
            #expect(response.matchedBlocks == 3)
            #expect(response.matchedTokens == 10 + 16 + 16)
            let match = try #require(response.node.first)
            #expect(response.node.count == 1)
            #expect(match.address == "127.0.0.1:\(node.addresses.port ?? 0)")
            #expect(match.leadingBlocks == 3)
            #expect(match.payloadBytes == 3 << 20)
            #expect(match.run.map(\.tier) == [.memory])
            #expect(match.run.map(\.blockCount) == [3])
            // 3 MiB at 2 GiB/s.
            #expect(abs(match.estimatedLoadMilliseconds - 1.46484375) < 1e-9)
            let miss = try await client.control.match(
                .with {
                    $0.namespaceID = ns
                    $0.keys = keys([3])
                }
            )
            #expect(miss.matchedBlocks == 0 && miss.node.isEmpty)
        }
    }

    @Test("a match by tokens names blocks as the engines do")
    func matchByTokens() async throws {
        try await ControlNode.with { _, client in
            let ns = try await client.describe()
            let tokens = (0..<40).map { UInt32($0 * 3) }
            let context = PromptContext(
                adapter: .init(name: "a", path: "/a"),
                mediaItems: [.init(identifier: "image", tokens: 3..<9)],
                cacheSalt: "salt"
            )
            var hasher = try ChainedBlockHasher(
                tokensPerBlock: 16,
                start: .noneHash(seed: "7"),
                context: context
            )
            let digests = hasher.append(tokens)
            #expect(digests.count == 2)
            for (index, digest) in digests.enumerated() {
                try await client.put(ns, digest.bytes, [1, 2, 3])
                try await client.put(ns, digest.offloadKey(group: 2).bytes, [UInt8(index)])
            }
            var prompt = Larder_V1_Tokens.with {
                $0.token = tokens
                $0.hashSeed = "7"
                $0.cacheSalt = "salt"
                $0.adapter = .with {
                    $0.name = "a"
                    $0.path = "/a"
                }
                $0.mediaItem = [
                    .with {
                        $0.identifier = "image"
                        $0.firstToken = 3
                        $0.tokenCount = 6
                    }
                ]
            }
            for form in [Larder_V1_Tokens.KeyForm.digest, .vllmOffload] {
                prompt.keyForm = form
                prompt.group = 2
                let request = Larder_V1_MatchRequest.with { [prompt] in
                    $0.namespaceID = ns
                    $0.tokens = prompt
                }
                let response = try await client.control.match(request)
                #expect(response.queriedBlocks == 2)
                #expect(response.matchedBlocks == 2)
                #expect(response.matchedTokens == 32)
            }
            prompt.cacheSalt = "other"
            let other = try await client.control.match(
                .with { [prompt] in
                    $0.namespaceID = ns
                    $0.tokens = prompt
                }
            )
            #expect(other.matchedBlocks == 0)
        }
    }

    @Test("pins, unpins, explains, evicts and clears")
    func changes() async throws {
        try await ControlNode.with { node, client in
            let ns = try await client.describe()
            try await client.put(ns, [1], [1, 2, 3])
            try await client.put(ns, [2], [1, 2, 3])
            let pinned = try await client.control.pin(
                .with {
                    $0.namespaceID = ns
                    $0.keys = keys([1], [9])
                    $0.milliseconds = 3_600_000
                }
            )
            #expect(pinned.pinned == [true, false])
            #expect(try node.store.statistics().integer("memory_pinned_bytes") > 0)
            let unpinned = try await client.control.unpin(
                .with {
                    $0.namespaceID = ns
                    $0.keys = keys([1], [9])
                }
            )
            #expect(unpinned.held == [true, false])
            #expect(try node.store.statistics().integer("memory_pinned_bytes") == 0)
            let evicted = try await client.control.evict(
                .with {
                    $0.namespaceID = ns
                    $0.keys = keys([1], [9])
                }
            )
            #expect(evicted.deleted == 1)
            #expect(try await client.explain(ns, [1]) == .deleted)
            #expect(try await client.explain(ns, [2]) == .inMemory)
            #expect(try await client.explain(ns, [9]) == .neverSeen)
            #expect(
                try await status { _ = try await client.control.clear(.with { $0.namespaceID = ns }) }
                    == .failedPrecondition
            )
            #expect(try await client.explain(ns, [2]) == .inMemory)
            let cleared = try await client.control.clear(
                .with {
                    $0.namespaceID = ns
                    $0.confirm = ns
                }
            )
            #expect(cleared.deleted == 1)
            #expect(try await client.explain(ns, [2]) == .deleted)
        }
    }

    @Test("warm and prefetch bring blocks from disk to memory; a match tells the tiers in runs")
    func warm() async throws {
        try await ControlNode.with { configuration, directory in
            configuration.memoryByteCount = 16 << 20
            configuration.dataDirectory = directory
            configuration.diskByteCount = 1 << 30
        } _: { node, client in
            let ns = try await client.describe()
            let (count, byteCount) = (100, 1 << 20)
            for key in 0..<count {
                try await client.put(ns, [UInt8(key)], Array(repeating: UInt8(key), count: byteCount)) {
                    $0.durable = true
                }
            }
            let onDisk = try #require(
                try await (0..<count).asyncFirst { try await client.explain(ns, [UInt8($0)]) == .onDisk }
            )
            let match = try await client.control.match(
                .with {
                    $0.namespaceID = ns
                    $0.keys = keys([UInt8(onDisk)])
                }
            )
            #expect(match.node.first?.run.map(\.tier) == [.disk])
            let got = try await client.get(ns, [UInt8(onDisk)])
            #expect(got.payload == Array(repeating: UInt8(onDisk), count: byteCount))
            // More than one step, and some that are not held.
            let wanted = (0..<4).map { UInt8($0) } + (0..<70).map { UInt8($0 + 150) }
            let steps = try await client.control.warm(
                .with {
                    $0.namespaceID = ns
                    $0.keys = .with { $0.key = wanted.map { Data([$0]) } }
                }
            ) { response in
                var steps: [Larder_V1_WarmProgress] = []
                for try await step in response.messages { steps.append(step) }
                return steps
            }
            #expect(steps.map(\.done) == [64, 74])
            #expect(steps.last?.blocks == 74)
            #expect(steps.last?.inMemory == 4)
            #expect(steps.last?.missing == 70)
            #expect(steps.last?.bytes == UInt64(4 * byteCount))
            // To warm is no use: only the get before was a hit.
            #expect(try node.store.statistics().integer("hits_disk") == 1)
            let again = try #require(
                try await (0..<count).asyncFirst { try await client.explain(ns, [UInt8($0)]) == .onDisk }
            )
            let started = try await client.control.prefetch(
                .with {
                    $0.namespaceID = ns
                    $0.keys = keys([UInt8(again)], [200])
                }
            )
            #expect(started.started == 1)
            try await eventually { try await client.explain(ns, [UInt8(again)]) == .inMemory }
        }
    }

    @Test("figures of a namespace and of the node; a node alone is a cluster of one, and does not drain")
    func node() async throws {
        try await ControlNode.with { node, client in
            let ns = try await client.describe()
            try await client.put(ns, [1], [1, 2, 3])
            let own = try await client.control.stats(.with { $0.namespaceID = ns })
            #expect(own.figure.first { $0.name == "blocks" }?.integer == 1)
            #expect(own.figure.first { $0.name == "namespace" }?.text == ns)
            let all = try await client.control.stats(.init())
            #expect(all.figure.first { $0.name == "puts_stored" }?.integer == 1)
            #expect(all.figure.contains { $0.name == "connections" })
            let view = try await client.control.clusterView(.init())
            #expect(view.member.map(\.isSelf) == [true])
            #expect(view.member.map(\.state) == [.active])
            #expect(view.member.first?.memoryBytes == 64 << 20)
            #expect(view.member.first?.address == "127.0.0.1:\(node.addresses.port ?? 0)")
            let drained = try await status {
                try await client.control.drain(.init()) { response in
                    for try await _ in response.messages {}
                }
            }
            #expect(drained == .failedPrecondition)
        }
    }

    @Test("what cannot be right is refused")
    func refusals() async throws {
        try await ControlNode.with { configuration, _ in
            configuration.controlLimits.keyCountMax = 4
            configuration.controlLimits.tokenCountMax = 100
        } _: { _, client in
            let ns = try await client.describe()
            let unknown = String(repeating: "0", count: 64)
            let cases: [(Larder_V1_MatchRequest, RPCError.Code)] = [
                (.with { $0.namespaceID = "short" }, .invalidArgument),
                (.with { $0.namespaceID = ns }, .invalidArgument),
                (
                    .with {
                        $0.namespaceID = unknown
                        $0.keys = keys([1])
                    }, .notFound
                ),
                (
                    .with {
                        $0.namespaceID = ns
                        $0.keys = keys()
                    }, .invalidArgument
                ),
                (
                    .with {
                        $0.namespaceID = ns
                        $0.keys = keys([1], [])
                    }, .invalidArgument
                ),
                (
                    .with {
                        $0.namespaceID = ns
                        $0.keys = keys(Array(repeating: 1, count: Limits.keyByteCountMax + 1))
                    }, .invalidArgument
                ),
                (
                    .with {
                        $0.namespaceID = ns
                        $0.keys = keys([1], [2], [3], [4], [5])
                    }, .invalidArgument
                ),
                (
                    .with {
                        $0.namespaceID = ns
                        $0.tokens = .with { $0.token = Array(repeating: 1, count: 101) }
                    }, .invalidArgument
                ),
                (
                    .with {
                        $0.namespaceID = ns
                        $0.tokens = .with {
                            $0.token = Array(repeating: 1, count: 100)
                            $0.tokensPerBlock = 20
                        }
                    }, .invalidArgument
                ),
                (
                    .with {
                        $0.namespaceID = ns
                        $0.tokens = .with {
                            $0.token = [1]
                            $0.tokensPerBlock = .max
                        }
                    }, .invalidArgument
                ),
            ]
            for (request, code) in cases {
                #expect(try await status { _ = try await client.control.match(request) } == code)
            }
        }
    }
}

extension Sequence where Element: Sendable {
    /// The first element that something is true of.
    fileprivate func asyncFirst(_ isTrue: (Element) async throws -> Bool) async throws -> Element? {
        for element in self where try await isTrue(element) { return element }
        return nil
    }
}
