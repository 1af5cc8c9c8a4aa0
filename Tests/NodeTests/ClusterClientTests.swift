import Blocks
import LarderClient
import Testing

@testable import Cluster
@testable import Node

@Suite("A client of a cluster")
struct ClusterClientTests {
    private static let description =
        #"{"model":"tiny","dtype":"bfloat16","layout":"test","tokens_per_block":16}"#

    /// Memory of a test, filled by a number.
    @safe private final class Regions {
        @unsafe let buffers: [UnsafeMutableRawBufferPointer]

        init(_ count: Int, byteCount: Int, fill: (Int) -> UInt8) {
            unsafe buffers = (0..<count).map { index in
                let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
                unsafe buffer.initializeMemory(as: UInt8.self, repeating: fill(index))
                return unsafe buffer
            }
        }

        deinit { unsafe buffers.forEach { unsafe $0.deallocate() } }

        func hasOnly(_ value: UInt8, at index: Int) -> Bool {
            unsafe buffers[index].allSatisfy { $0 == value }
        }
    }

    private func client(of cluster: TestCluster) -> LarderCluster {
        let endpoints = cluster.nodes.map {
            LarderEndpoint.tcp(host: "127.0.0.1", port: UInt16(clamping: $0.addresses.port ?? 0))
        }
        var configuration = LarderClientConfiguration(endpoint: endpoints[0])
        configuration.lookupTimeout = .seconds(10)
        configuration.loadTimeout = .seconds(10)
        configuration.storeTimeout = .seconds(10)
        return LarderCluster(configuration, seeds: endpoints)
    }

    @Test("payloads go to their owners and come from them, without a hop")
    func direct() async throws {
        try await TestCluster.with { cluster in
            let client = client(of: cluster)
            let ns = client.describe(try NamespaceDescription(json: Array(Self.description.utf8)))
            #expect(await client.refresh())
            #expect(client.knownNodeCount == 3)
            let keys = KeyBatch(try TestCluster.keys(48).map { try BlockKey(Array($0.utf8)) })
            let source = Regions(48, byteCount: 70_000) { UInt8($0 + 1) }
            let payloads = unsafe source.buffers.map { UnsafeRawBufferPointer($0) }
            let outcomes = await unsafe client.store(ns, keys: keys, payloads: payloads)
            #expect(outcomes == Array(repeating: .stored, count: 48))
            #expect(cluster.nodes.allSatisfy { $0.figure("handoff_blocks") == 0 })
            #expect(await client.match(ns, keys: keys).matchedCount == 48)
            let target = Regions(48, byteCount: 70_000) { _ in 0 }
            let loaded = await unsafe client.load(ns, keys: keys, into: target.buffers)
            #expect(loaded.isComplete)
            #expect((0..<48).allSatisfy { target.hasOnly(UInt8($0 + 1), at: $0) })
            #expect(cluster.nodes.allSatisfy { $0.figure("peer_loads") == 0 })
            #expect(cluster.nodes.reduce(0) { $0 + $1.figure("memory_blocks") } == 48)
            client.close()
        }
    }

    @Test("a client that knows too little is answered all the same, and a lost door is replaced")
    func fallback() async throws {
        try await TestCluster.with { cluster in
            let client = client(of: cluster)
            let ns = client.describe(try NamespaceDescription(json: Array(Self.description.utf8)))
            let keys = KeyBatch(try TestCluster.keys(24).map { try BlockKey(Array($0.utf8)) })
            let source = Regions(24, byteCount: 100) { UInt8($0 + 1) }
            let payloads = unsafe source.buffers.map { UnsafeRawBufferPointer($0) }
            // Nothing is known yet: all goes through the door.
            let outcomes = await unsafe client.store(ns, keys: keys, payloads: payloads)
            #expect(outcomes == Array(repeating: .stored, count: 24))
            try await Eventually.holds("all are with their owners") {
                cluster.nodes[0].figure("handoff_queue_blocks") == 0
            }
            await cluster.nodes[0].node.drainAndStop()
            try await Eventually.holds("the others have noticed") {
                [1, 2].allSatisfy { cluster.nodes[$0].cluster?.peers.contains { $0.isDown } == true }
            }
            #expect(await client.refresh())
            #expect(client.knownNodeCount == 2)
            let target = Regions(24, byteCount: 100) { _ in 0 }
            let loaded = await unsafe client.load(ns, keys: keys, into: target.buffers)
            for (index, key) in TestCluster.keys(24).enumerated() {
                let isLost = try cluster.owner(of: key) == 0
                #expect(loaded.isLoaded[index] == !isLost)
                #expect(isLost || target.hasOnly(UInt8(index + 1), at: index))
            }
            client.close()
        }
    }
}
