import Blocks
import ControlPlane
import Membership
import Placement
import Testing
import Tiering

@testable import Cluster
@testable import Node

@Suite("a cluster of nodes")
struct ClusterTests {
    private static let description =
        #"{"model":"tiny","dtype":"bfloat16","layout":"test","tokens_per_block":16}"#

    private func describe(_ clients: [WireClient]) throws -> String {
        var namespace = ""
        for client in clients {
            let reply = try client.ask("KV.DESCRIBE", Self.description)
            namespace = String(reply.split(separator: "\r\n")[1])
        }
        return namespace
    }

    private func put(_ client: WireClient, _ ns: String, _ keys: [String], _ options: [String] = []) throws
        -> String
    {
        let words =
            ["KV.PUT", ns] + options + ["BLOCKS", String(keys.count)]
            + keys.flatMap { [$0, "payload of \($0)"] }
        try client.request(bytes: words.map { Array($0.utf8) })
        return try client.receiveReply()
    }

    private func ask(_ client: WireClient, _ words: [String]) throws -> String {
        try client.request(bytes: words.map { Array($0.utf8) })
        return try client.receiveReply()
    }

    private func get(_ client: WireClient, _ ns: String, _ keys: [String]) throws -> String {
        try ask(client, ["KV.GET", ns, "KEYS", String(keys.count)] + keys)
    }

    private func payloads(_ keys: [String]) -> String {
        "*\(keys.count)\r\n"
            + keys.map { "$\($0.utf8.count + 11)\r\npayload of \($0)\r\n" }.joined()
    }

    private func matched(_ client: WireClient, _ ns: String, _ keys: [String], _ options: [String] = [])
        throws -> Int
    {
        let reply = try ask(client, ["KV.MATCH", ns] + options + ["KEYS", String(keys.count)] + keys)
        return Int(reply.split(separator: "\r\n")[1].dropFirst()) ?? -1
    }

    @Test("what is put at one node is matched and read at each other")
    func everyNodeIsADoor() async throws {
        try await TestCluster.with { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            let ns = try describe(clients)
            let keys = TestCluster.keys(60)
            #expect(Set(try keys.map { try cluster.owner(of: $0) }).count == 3)
            let stored = "*60\r\n" + String(repeating: "+stored\r\n", count: 60)
            #expect(try put(clients[0], ns, keys, ["TOKENS", "16", "ACK", "owner"]) == stored)
            for client in clients {
                #expect(try matched(client, ns, keys + ["none"]) == 60)
                #expect(try get(client, ns, keys) == payloads(keys))
            }
            // Each owner has its own, and what node 0 was given is with its owners.
            for (index, node) in cluster.nodes.enumerated() {
                let owned = try keys.count { try cluster.owner(of: $0) == index }
                #expect(node.figure("memory_blocks") == 60)
                #expect(node.figure("peer_loads") == (index == 0 ? 0 : 60 - owned))
            }
            #expect(cluster.nodes[0].figure("handoff_queue_blocks") == 0)
        }
    }

    @Test("a hole in the prompt ends the match, whichever node has it")
    func holes() async throws {
        try await TestCluster.with { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            let ns = try describe(clients)
            let keys = TestCluster.keys(30)
            _ = try put(clients[1], ns, Array(keys.prefix(12)), ["ACK", "owner"])
            _ = try put(clients[2], ns, Array(keys.dropFirst(13)), ["ACK", "owner"])
            for client in clients { #expect(try matched(client, ns, keys) == 12) }
        }
    }

    @Test("a lease holds at the owners until it is released, and ends there with it")
    func leases() async throws {
        try await TestCluster.with { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            let ns = try describe(clients)
            let keys = TestCluster.keys(30)
            for key in keys { _ = try put(clients[try cluster.owner(of: key)], ns, [key]) }
            let reply = try ask(clients[0], ["KV.MATCH", ns, "LEASE", "60000", "KEYS", "30"] + keys)
            let id = String(reply.split(separator: "\r\n")[2].dropFirst())
            #expect(reply.hasPrefix("*3\r\n:30\r\n"))
            #expect(cluster.nodes.allSatisfy { $0.figure("leases") == 1 })
            #expect(try clients[0].ask("KV.RELEASE", id) == ":1\r\n")
            try await Eventually.holds("no node holds a lease") {
                cluster.nodes.allSatisfy { $0.figure("leases") == 0 }
            }
        }
    }

    @Test("many clients that ask for the same cold blocks: each block crosses once to each node")
    func singleFlight() async throws {
        try await TestCluster.with { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            let ns = try describe(clients)
            let keys = TestCluster.keys(20)
            for key in keys { _ = try put(clients[try cluster.owner(of: key)], ns, [key]) }
            let many = try cluster.nodes.flatMap { node in try (0..<16).map { _ in try node.connect() } }
            for client in many {
                try client.request(bytes: (["KV.GET", ns, "KEYS", "20"] + keys).map { Array($0.utf8) })
            }
            for client in many { #expect(try client.receiveReply() == payloads(keys)) }
            for (index, node) in cluster.nodes.enumerated() {
                let foreign = try keys.count { try cluster.owner(of: $0) != index }
                #expect(node.figure("peer_loads") == foreign)
            }
        }
    }

    @Test("a node that is gone costs its blocks, and no more")
    func lostNode() async throws {
        try await TestCluster.with { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            let ns = try describe(clients)
            let keys = TestCluster.keys(60)
            for key in keys { _ = try put(clients[try cluster.owner(of: key)], ns, [key]) }
            await cluster.nodes[2].node.drainAndStop()
            try await Eventually.holds("the others have noticed") {
                cluster.nodes[0].cluster?.peers.contains { $0.isDown } == true
                    && cluster.nodes[1].cluster?.peers.contains { $0.isDown } == true
            }
            for (index, client) in clients.prefix(2).enumerated() {
                for key in keys {
                    let isLost = try cluster.owner(of: key) == 2
                    #expect(
                        try get(client, ns, [key]) == (isLost ? "*1\r\n$-1\r\n" : payloads([key])),
                        "\(index)"
                    )
                }
            }
            // Others stand in for it.
            let lost = try keys.filter { try cluster.owner(of: $0) == 2 }
            #expect(try put(clients[0], ns, lost, ["ACK", "owner"]).contains("+stored"))
            for client in clients.prefix(2) { #expect(try get(client, ns, lost) == payloads(lost)) }
        }
    }

    @Test("what is deleted is gone from the owner and from every near copy")
    func deletion() async throws {
        try await TestCluster.with { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            let ns = try describe(clients)
            let keys = TestCluster.keys(12)
            _ = try put(clients[0], ns, keys, ["ACK", "owner"])
            for client in clients { #expect(try get(client, ns, keys) == payloads(keys)) }
            #expect(try ask(clients[1], ["KV.DEL", ns, "KEYS", "13"] + keys + ["none"]) == ":12\r\n")
            for client in clients { #expect(try matched(client, ns, keys) == 0) }
            #expect(cluster.nodes.allSatisfy { $0.figure("memory_blocks") == 0 })
            #expect(try ask(clients[2], ["KV.EXPLAIN", ns, "KEYS", "1", keys[0]]).contains("deleted"))
            _ = try put(clients[0], ns, keys, ["ACK", "owner"])
            _ = try get(clients[2], ns, keys)
            #expect(try clients[1].ask("KV.CLEAR", ns).hasPrefix(":"))
            for client in clients { #expect(try matched(client, ns, keys) == 0) }
        }
    }

    @Test("the first bytes at the owner win; a near copy of others does not stay")
    func conflicts() async throws {
        try await TestCluster.with { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            let ns = try describe(clients)
            guard let key = try TestCluster.keys(60).first(where: { try cluster.owner(of: $0) == 2 }) else {
                return
            }
            _ = try put(clients[2], ns, [key])
            let reply = try clients[0].ask("KV.PUT", ns, "ACK", "owner", "BLOCKS", "1", key, "other bytes")
            #expect(reply.hasPrefix("*1\r\n+refused conflict"))
            for client in clients { #expect(try get(client, ns, [key]) == payloads([key])) }
        }
    }

    @Test("plain keys are kept by one node each, and a replaced value is seen everywhere at once")
    func plainKeys() async throws {
        try await TestCluster.with { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            let keys = TestCluster.keys(24, "plain")
            for (index, key) in keys.enumerated() {
                #expect(try clients[index % 3].ask("SET", key, "1") == "+OK\r\n")
            }
            let large = String(repeating: "x", count: 100_000)
            for (index, key) in keys.enumerated() {
                for client in clients { #expect(try client.ask("GET", key) == "$1\r\n1\r\n") }
                #expect(try clients[(index + 1) % 3].ask("SET", key, large + key) == "+OK\r\n")
                for client in clients {
                    #expect(
                        try client.ask("GET", key) == "$\(100_000 + key.utf8.count)\r\n\(large)\(key)\r\n"
                    )
                }
            }
            #expect(try ask(clients[0], ["EXISTS"] + keys + ["none"]) == ":24\r\n")
            #expect(try clients[1].ask("DBSIZE") == ":24\r\n")
            #expect(try clients[1].ask("STRLEN", keys[3]) == ":\(100_000 + keys[3].utf8.count)\r\n")
            #expect(try clients[2].ask("EXPIRE", keys[4], "100") == ":1\r\n")
            #expect(try clients[0].ask("TTL", keys[4]) == ":100\r\n")
            #expect(try clients[0].ask("GETRANGE", keys[5], "0", "2") == "$3\r\nxxx\r\n")
            #expect(try ask(clients[2], ["MSET"] + keys.flatMap { [$0, "new \($0)"] }) == "+OK\r\n")
            let all = "*24\r\n" + keys.map { "$\($0.utf8.count + 4)\r\nnew \($0)\r\n" }.joined()
            for client in clients { #expect(try ask(client, ["MGET"] + keys) == all) }
            #expect(try ask(clients[0], ["DEL"] + keys.prefix(10)) == ":10\r\n")
            for client in clients { #expect(try ask(client, ["EXISTS"] + keys) == ":14\r\n") }
            #expect(try clients[2].ask("FLUSHDB") == "+OK\r\n")
            for client in clients { #expect(try client.ask("DBSIZE") == ":0\r\n") }
        }
    }

    @Test("nodes with other secrets are no peers, and clients cannot speak for other tenants")
    func strangers() async throws {
        var plan = TestCluster.Plan()
        plan.count = 2
        plan.secrets = [
            0: try ClusterSecret(Array("the first secret".utf8)),
            1: try ClusterSecret(Array("another secret!!".utf8)),
        ]
        try await TestCluster.with(plan) { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            let ns = try describe(clients)
            let keys = TestCluster.keys(20)
            #expect(try put(clients[0], ns, keys).contains("stored"))
            try await Eventually.holds("each is alone") {
                cluster.nodes.allSatisfy { $0.cluster?.peers.first?.isDown == true }
            }
            let found = try matched(clients[1], ns, keys)
            #expect(found == 0)
            #expect(try clients[0].ask("KV.PEER", "BEAT", "active", "1", "1").hasPrefix("-NOPERM"))
            #expect(try clients[0].ask("KV.FETCH", ns, "KEYS", "1", keys[0]).hasPrefix("-NOPERM"))
            #expect(try clients[0].ask("KV.HELD", ns, "KEYS", "1", keys[0]).hasPrefix("-NOPERM"))
            #expect(try clients[0].ask("KV.FOR", "other", "0", "GET", "a").hasPrefix("-ERR unknown command"))
            let nonce = String(repeating: "n", count: 32)
            #expect(try clients[0].ask("KV.PEER", "HELLO", "node-1", "node-0", nonce).hasPrefix("*2"))
            #expect(try clients[0].ask("KV.PEER", "PROOF", nonce).hasPrefix("-WRONGPASS"))
            #expect(try clients[0].isClosed(within: 5_000))
        }
    }

    @Test(
        "a node with users is in no cluster without a secret: whoever reached it could speak for any tenant"
    )
    func usersNeedSecret() async throws {
        let users = try UserFile(
            parsing: "a:team-a:read:\(try PasswordHash(password: "p", log2Rounds: 10).text)"
        )
        let members = try TestCluster.members(count: 1)
        var plan = TestCluster.Plan()
        plan.change = { configuration, _ in configuration.users = users }
        await #expect(throws: CacheError.self) { _ = try await TestCluster.start(0, of: members, plan) }
        plan.secrets = [0: try ClusterSecret(Array("a secret of a cluster".utf8))]
        let node = try await TestCluster.start(0, of: members, plan)
        await node.node.drainAndStop()
    }

    @Test("a node that drains gives all it holds to the next owners, and can go")
    func draining() async throws {
        try await TestCluster.with { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            let ns = try describe(clients)
            let keys = TestCluster.keys(90)
            for key in keys { _ = try put(clients[try cluster.owner(of: key)], ns, [key], ["TOKENS", "16"]) }
            #expect(try clients[1].ask("KV.CLUSTER", "DRAIN") == "+OK\r\n")
            // It answers all the time.
            #expect(try get(clients[0], ns, keys) == payloads(keys))
            try await Eventually.holds("it is drained") {
                cluster.nodes[1].cluster?.drainProgress.phase == .done
            }
            await cluster.nodes[1].node.drainAndStop()
            for index in [0, 2] {
                #expect(try clients[index].ask("KV.CLEAR", "00").hasPrefix("-ERR"))
                #expect(try matched(clients[index], ns, keys) == 90)
                #expect(try get(clients[index], ns, keys) == payloads(keys))
            }
        }
    }

    @Test("a node that joins is given what the others hold of its slots, and nothing is missed meanwhile")
    func joining() async throws {
        var plan = TestCluster.Plan()
        plan.late = [2]
        let members = try TestCluster.members(count: 3)
        try await withTaskExecutorPreference(BlockingExecutor.shared) {
            await Task.yield()
            var nodes: [TestNode] = []
            for index in 0..<2 {
                nodes.append(try await TestCluster.start(index, of: Array(members.prefix(2)), plan))
            }
            let clients = try nodes.map { try $0.connect() }
            let ns = try describe(clients)
            let keys = TestCluster.keys(90)
            #expect(try put(clients[0], ns, keys, ["ACK", "owner"]).contains("stored"))
            let third = try await TestCluster.start(2, of: members, plan, state: .joining)
            nodes.append(third)
            // A static list is written anew by who runs the nodes.
            var joiner = members[2]
            joiner.state = .joining
            for node in nodes.prefix(2) {
                node.cluster?.membersChanged(Array(members.prefix(2)) + [joiner], revision: 2)
            }
            let client = try third.connect()
            _ = try client.ask("KV.DESCRIBE", Self.description)
            #expect(try matched(client, ns, keys) == 90)
            #expect(try get(clients[1], ns, keys) == payloads(keys))
            try await Eventually.holds("it is active") {
                nodes.allSatisfy { $0.cluster?.view.member(members[2].name)?.state == .active }
            }
            let view = try #require(third.cluster?.view)
            let owned = keys.filter { key in
                let bytes = Array(key.utf8)
                return unsafe view.owner(of: Slot.of(bytes.span.bytes))?.name == members[2].name
            }
            #expect(!owned.isEmpty)
            await nodes[0].node.drainAndStop()
            await nodes[1].node.drainAndStop()
            #expect(try get(client, ns, owned) == payloads(owned))
            await third.node.drainAndStop()
        }
    }

    @Test("with two replicas, pinned blocks outlive the node that owns them")
    func replicas() async throws {
        var plan = TestCluster.Plan()
        plan.replicaCount = 2
        try await TestCluster.with(plan) { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            let ns = try describe(clients)
            let keys = TestCluster.keys(40)
            _ = try put(clients[0], ns, keys, ["ACK", "owner"])
            let pinned = try ask(clients[0], ["KV.PIN", ns, "KEYS", "40"] + keys)
            #expect(pinned == "*40\r\n" + String(repeating: ":1\r\n", count: 40))
            try await Eventually.holds("each block has its second copy") {
                Self.copies(keys, cluster) == 2 * keys.count
            }
            await cluster.nodes[1].node.drainAndStop()
            try await Eventually.holds("the others have noticed") {
                [0, 2].allSatisfy { cluster.nodes[$0].cluster?.peers.contains { $0.isDown } == true }
            }
            for index in [0, 2] { #expect(try get(clients[index], ns, keys) == payloads(keys)) }
        }
    }

    @Test("a near copy does not count as held when its keeper goes: it is kept from then on")
    func nearCopiesAreNotKept() async throws {
        try await TestCluster.with { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            let ns = try describe(clients)
            let keys = TestCluster.keys(60)
            for key in keys { _ = try put(clients[try cluster.owner(of: key)], ns, [key]) }
            for client in clients { #expect(try get(client, ns, keys) == payloads(keys)) }
            for (index, node) in cluster.nodes.enumerated() {
                let owned = try keys.count { try cluster.owner(of: $0) == index }
                #expect(try Self.keptCount(keys, node) == owned)
            }
            #expect(try clients[1].ask("KV.CLUSTER", "DRAIN") == "+OK\r\n")
            try await Eventually.holds("it is drained") {
                cluster.nodes[1].cluster?.drainProgress.phase == .done
            }
            #expect(try Self.keptCount(keys, cluster.nodes[0]) + Self.keptCount(keys, cluster.nodes[2]) == 60)
            #expect(cluster.nodes[1].cluster?.drainProgress.failedBlockCount == 0)
        }
    }

    @Test("a pin for a time is handed over as what it is")
    func timedPins() async throws {
        try await TestCluster.with { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            let ns = try describe(clients)
            let keys = TestCluster.keys(24)
            for key in keys { _ = try put(clients[try cluster.owner(of: key)], ns, [key]) }
            #expect(
                try ask(clients[0], ["KV.PIN", ns, "TTL", "3600000", "KEYS", "24"] + keys).hasPrefix(
                    "*24\r\n:1"
                )
            )
            let moved = try keys.filter { try cluster.owner(of: $0) == 1 }
            #expect(!moved.isEmpty)
            #expect(try clients[1].ask("KV.CLUSTER", "DRAIN") == "+OK\r\n")
            try await Eventually.holds("it is drained") {
                cluster.nodes[1].cluster?.drainProgress.phase == .done
            }
            let view = try #require(cluster.nodes[0].cluster?.view)
            let now = try #require(cluster.nodes[0].node.store).clock.unixMilliseconds()
            for key in moved {
                let bytes = Array(key.utf8)
                let slot = unsafe Slot.of(bytes.span.bytes)
                let name = try #require(view.owner(of: slot)?.name)
                let index = try #require(cluster.names.firstIndex(of: name))
                let store = try #require(cluster.nodes[index].node.store)
                let description = try NamespaceDescription(json: Array(Self.description.utf8))
                let space = try #require(store.space(tenant: .default, namespace: description.id))
                let until =
                    unsafe store.summary(space, key: bytes.span.bytes)?.summary.attributes.pinnedUntil ?? 0
                #expect(until > now && until < now + 4_000_000)
            }
        }
    }

    /// How many of the keys a node keeps, copies of what others keep left out.
    private static func keptCount(_ keys: [String], _ node: TestNode) throws -> Int {
        let store = try #require(node.node.store)
        let description = try NamespaceDescription(json: Array(description.utf8))
        let space = try #require(store.space(tenant: .default, namespace: description.id)).onThisNode
        return store.held(
            space,
            keys: KeyBatch(validated: keys.map { Array($0.utf8) }),
            lease: nil,
            prefetches: false,
            keptOnly: true,
            owner: LeaseOwner(connectionID: 0)
        ).tiers.count { $0 != nil }
    }

    /// How many nodes hold the keys as owner or next, together.
    private static func copies(_ keys: [String], _ cluster: TestCluster) -> Int {
        guard let view = cluster.nodes[0].cluster?.view else { return 0 }
        return keys.reduce(0) { sum, key in
            let bytes = Array(key.utf8)
            let slot = unsafe Slot.of(bytes.span.bytes)
            return sum
                + (0..<2).count { rank in
                    guard let name = view.owner(of: slot, rank: rank)?.name,
                        let index = cluster.names.firstIndex(of: name),
                        let store = cluster.nodes[index].node.store,
                        let description = try? NamespaceDescription(json: Array(Self.description.utf8)),
                        let space = store.space(tenant: .default, namespace: description.id)
                    else { return false }
                    return unsafe store.summary(space, key: bytes.span.bytes) != nil
                }
        }
    }

    @Test("a node that starts again under its name is served like one that joins, and becomes active")
    func restart() async throws {
        let plan = TestCluster.Plan()
        let members = try TestCluster.members(count: 2).map { member in
            var member = member
            // As a written list has it: nobody knows which start of the node it is.
            member.run = 0
            return member
        }
        try await withTaskExecutorPreference(BlockingExecutor.shared) {
            await Task.yield()
            let first = try await TestCluster.start(0, of: members, plan, state: .joining)
            for run in UInt64(1)...2 {
                var started = members
                started[1].run = run
                let second = try await TestCluster.start(1, of: started, plan, state: .joining)
                try await Eventually.holds("start \(run) is active, for itself and for the other") {
                    [first, second].allSatisfy {
                        $0.cluster?.view.members.allSatisfy { $0.state == .active } == true
                    }
                }
                await second.node.drainAndStop()
            }
            await first.node.drainAndStop()
        }
    }

    @Test("the control plane speaks for the whole cluster")
    func controlPlane() async throws {
        try await TestCluster.with { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            let ns = try describe(clients)
            let keys = TestCluster.keys(30)
            for key in keys { _ = try put(clients[try cluster.owner(of: key)], ns, [key], ["TOKENS", "16"]) }
            let part = try #require(cluster.nodes[0].cluster)
            let store = try #require(cluster.nodes[0].node.store)
            let backend = ClusterBackend(
                cluster: part,
                local: StoreBackend(
                    store: store,
                    identity: .init(
                        name: "node-0",
                        address: "",
                        memoryByteCount: 0,
                        diskByteCount: 0
                    ),
                    spaceTimeout: .seconds(1)
                ),
                store: store
            )
            let description = try NamespaceDescription(json: Array(Self.description.utf8))
            let space = SpaceName(tenant: .default, namespace: description.id)
            let batch = KeyBatch(validated: (keys + ["none"]).map { Array($0.utf8) })
            let matches = try await backend.match(space, keys: batch)
            #expect(matches.count == 3)
            for (index, match) in matches.enumerated() {
                let owned = try keys.count { try cluster.owner(of: $0) == index }
                #expect(match.nodeName == "node-\(index)")
                #expect(match.blockCount == 30)
                #expect(match.runs.reduce(0) { $0 + ($1.tier == .memory ? $1.blockCount : 0) } == owned)
            }
            #expect(
                try await backend.pin(space, keys: batch, lasting: nil) == Array(repeating: true, count: 30)
                    + [false]
            )
            #expect(try await backend.unpin(space, keys: batch).count { $0 } == 30)
            #expect(try await backend.explain(space, keys: batch).last == .neverSeen)
            #expect(try await backend.clusterView().members.count == 3)
            #expect(try await backend.delete(space, keys: batch) == 30)
            for client in clients { #expect(try matched(client, ns, keys) == 0) }
            try await backend.drain(node: "node-2") { _ in }
            #expect(cluster.nodes[2].cluster?.drainProgress.phase == .done)
        }
    }

    @Test("clients of Redis Cluster are told the slots, and a node alone says that it is in no cluster")
    func redisCluster() async throws {
        try await TestCluster.with { cluster in
            let client = try cluster.nodes[0].connect()
            #expect(try client.ask("CLUSTER", "KEYSLOT", "foo") == ":12182\r\n")
            #expect(try client.ask("CLUSTER", "INFO").contains("cluster_slots_assigned:16384"))
            let slots = try client.ask("CLUSTER", "SLOTS")
            #expect(slots.contains("127.0.0.1"))
            #expect(try client.ask("CLUSTER", "SHARDS").hasPrefix("*3\r\n"))
            #expect(try client.ask("CLUSTER", "NODES").contains("myself,master"))
            #expect(try client.ask("KV.CLUSTER").contains("node-2"))
        }
        try await TestNode.with { node in
            let client = try node.connect()
            #expect(
                try client.ask("CLUSTER", "SLOTS") == "-ERR This instance has cluster support disabled\r\n"
            )
            #expect(try client.ask("KV.CLUSTER").hasPrefix("-ERR this node is in no cluster"))
        }
    }
}
