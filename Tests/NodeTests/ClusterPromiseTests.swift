import Blocks
import LarderClient
import TestSupport
import Testing
import Tiering

@testable import Cluster
@testable import Node

@Suite("What was promised for a block is passed on", .serialized)
struct ClusterPromiseTests {
    private func ask(_ client: WireClient, _ words: [String]) throws -> String {
        try client.request(bytes: words.map { Array($0.utf8) })
        return try client.receiveReply()
    }

    private func put(_ client: WireClient, _ ns: String, _ keys: [String], _ options: [String] = []) throws {
        let words =
            ["KV.PUT", ns] + options + ["BLOCKS", String(keys.count)]
            + keys.flatMap { [$0, "payload of \($0)"] }
        #expect(try ask(client, words).split(separator: "\r\n").dropFirst().allSatisfy { $0 == "+stored" })
    }

    /// Copies of blocks that are pinned until they are unpinned, over all nodes.
    private func pinnedForEver(_ cluster: TestCluster, _ ns: String, _ keys: [String]) throws -> Int {
        var count = 0
        guard let namespace = NamespaceID(hexadecimal: Array(ns.utf8)) else { return 0 }
        for node in cluster.nodes {
            guard let store = node.node.store else { continue }
            guard let space = store.space(tenant: .default, namespace: namespace) else { continue }
            for name in keys {
                let key = try BlockKey(Array(name.utf8))
                let held = store.summary(space, key: key.span)
                if held?.summary.attributes.pinnedUntil == .max { count += 1 }
            }
        }
        return count
    }

    @Test("a put that pins pins a block that was there already, on a node alone too, in memory and on disk")
    func pinOfExisting() async throws {
        try await TestNode.with({ configuration, directory in
            configuration.dataDirectory = "\(directory)/data"
            configuration.diskByteCount = 64 << 20
        }) { node in
            let client = try node.connect()
            let ns = try client.describeEmpty()
            #expect(
                try ask(client, ["KV.PUT", ns, "DURABLE", "BLOCKS", "1", "k", "v"]) == "*1\r\n+stored\r\n"
            )
            #expect(node.figure("memory_pinned_bytes") == 0)
            #expect(try ask(client, ["KV.PUT", ns, "PIN", "BLOCKS", "1", "k", "v"]) == "*1\r\n+exists\r\n")
            #expect(node.figure("memory_pinned_bytes") > 0)
            #expect(node.figure("disk_pinned_bytes") > 0)
            // A shorter pin does not end a longer one.
            #expect(
                try ask(client, ["KV.PUT", ns, "TTL", "1", "PIN", "BLOCKS", "1", "k", "v"])
                    == "*1\r\n+exists\r\n"
            )
            #expect(node.figure("memory_pinned_bytes") > 0)
        }
    }

    @Test("a drain that has nobody to give blocks to is not done, and says how many are left")
    func drainAlone() async throws {
        var plan = TestCluster.Plan()
        plan.count = 2
        try await TestCluster.with(plan) { cluster in
            let client = try cluster.nodes[0].connect()
            let ns = try client.describeEmpty()
            let keys = TestCluster.keys(40)
            try put(client, ns, keys, ["ACK", "owner"])
            let own = try keys.count { try cluster.owner(of: $0) == 0 }
            #expect(own > 0)
            await cluster.nodes[1].node.drainAndStop()
            let part = try #require(cluster.nodes[0].cluster)
            try await Eventually.holds("the other one is away") { part.peers.allSatisfy(\.isDown) }
            #expect(try client.ask("KV.CLUSTER", "DRAIN") == "+OK\r\n")
            try await Eventually.holds("it says that it is not done") {
                part.drainProgress.phase == .incomplete
            }
            #expect(part.drainProgress.unplacedBlockCount >= own)
            #expect(part.drainProgress.givenBlockCount == 0)
            #expect(try client.ask("KV.CLUSTER", "STATUS").contains("incomplete"))
            // What it holds is still read from it.
            let held = try keys.count { try ask(client, ["KV.GET", ns, "KEYS", "1", $0]) != "*1\r\n$-1\r\n" }
            #expect(held >= own)
        }
    }

    @Test("a node that drained takes nothing more, and all that was put at it is with the others")
    func drained() async throws {
        try await TestCluster.with { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            var ns = ""
            for client in clients { ns = try client.describeEmpty() }
            let keys = TestCluster.keys(60)
            try put(clients[0], ns, keys, ["ACK", "owner"])
            #expect(
                try ask(clients[0], ["KV.PIN", ns, "KEYS", "60"] + keys) == "*60\r\n"
                    + String(repeating: ":1\r\n", count: 60)
            )
            let part = try #require(cluster.nodes[0].cluster)
            #expect(try clients[0].ask("KV.CLUSTER", "DRAIN") == "+OK\r\n")
            try await Eventually.holds("it is drained") { part.drainProgress.phase == .done }
            #expect(cluster.nodes[0].figure("memory_pinned_bytes") == 0)
            #expect(try pinnedForEver(cluster, ns, keys) == 60)
            let refused = try ask(clients[0], ["KV.PUT", ns, "BLOCKS", "1", "late", "v"])
            #expect(refused.contains("refused shuttingDown"), "\(refused)")
            await cluster.nodes[0].node.drainAndStop()
            for key in keys {
                #expect(try ask(clients[1], ["KV.GET", ns, "KEYS", "1", key]).contains("payload of \(key)"))
            }
        }
    }

    @Test("a lease that another node took outlives its connections, and ends with its run")
    func leases() async throws {
        var plan = TestCluster.Plan()
        plan.count = 2
        try await TestCluster.with(plan) { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            var ns = ""
            for client in clients { ns = try client.describeEmpty() }
            let keys = try TestCluster.keys(40).filter { try cluster.owner(of: $0) == 1 }
            try put(clients[1], ns, keys)
            _ = try ask(clients[0], ["KV.MATCH", ns, "LEASE", "60000", "KEYS", String(keys.count)] + keys)
            #expect(cluster.nodes[1].figure("leases") == 1)
            let part = try #require(cluster.nodes[0].cluster)
            let other = cluster.nodes[1]
            // As after a late reply, but for all of them: every connection from the other node ends.
            for peer in part.peers { peer.link.close() }
            try await Eventually.holds("the other node's connections have ended") {
                try other.counters.connectionsNow.value <= 1
            }
            #expect(other.figure("leases") == 1)
            _ = other.cluster?.answerBeat(from: "node-0", state: "active", weight: 1, run: 99)
            #expect(other.figure("leases") == 0)
        }
    }

    @Test(
        "pins and their renewals reach the second copy, whatever the order"
    )
    func pins() async throws {
        var plan = TestCluster.Plan()
        plan.replicaCount = 2
        try await TestCluster.with(plan) { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            var ns = ""
            for client in clients { ns = try client.describeEmpty() }
            let keys = TestCluster.keys(30)
            try put(clients[0], ns, keys, ["ACK", "owner"])
            _ = try ask(clients[0], ["KV.PIN", ns, "TTL", "60000", "KEYS", "30"] + keys)
            let bytes = { cluster.nodes.reduce(0) { $0 + $1.figure("memory_pinned_bytes") } }
            try await Eventually.holds("each pinned block is pinned at two nodes") {
                cluster.nodes.reduce(0) { $0 + ($1.cluster?.counters.replicatedBlocks.value ?? 0) } >= 30
                    && bytes() >= 60 * 64
            }
            _ = try ask(clients[1], ["KV.PIN", ns, "KEYS", "30"] + keys)
            try await Eventually.holds("the renewal is at both nodes of each") {
                try pinnedForEver(cluster, ns, keys) == 60
            }
        }
    }
}
