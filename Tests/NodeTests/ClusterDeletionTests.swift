import Blocks
import Placement
import TestSupport
import Testing
import Tiering

@testable import Cluster
@testable import Node

@Suite("What is deleted in a cluster stays deleted", .serialized)
struct ClusterDeletionTests {
    private func describe(_ clients: [WireClient]) throws -> String {
        var namespace = ""
        for client in clients { namespace = try client.describeEmpty() }
        return namespace
    }

    private func ask(_ client: WireClient, _ words: [String]) throws -> String {
        try client.request(bytes: words.map { Array($0.utf8) })
        return try client.receiveReply()
    }

    private func put(_ client: WireClient, _ ns: String, _ key: String, _ payload: [UInt8]) throws -> String {
        try client.request(bytes: ["KV.PUT", ns, "BLOCKS", "1", key].map { Array($0.utf8) } + [payload])
        return try client.receiveReply()
    }

    private func held(_ client: WireClient, _ ns: String, _ keys: [String]) throws -> [String] {
        try keys.filter { try ask(client, ["KV.GET", ns, "KEYS", "1", $0]) != "*1\r\n$-1\r\n" }
    }

    /// Nothing is on its way between the nodes any more.
    private func settle(_ nodes: [TestNode]) async throws {
        try await Eventually.holds("nothing is on its way") {
            nodes.allSatisfy { $0.figure("handoff_queue_blocks") == 0 }
        }
    }

    @Test("a delete right after a put is final, wherever the block was on its way to")
    func deleteAfterPut() async throws {
        try await TestCluster.with { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            let ns = try describe(clients)
            let keys = TestCluster.keys(90)
            let payload = SeededRandomBytes.make(256 << 10)
            for key in keys {
                #expect(try put(clients[0], ns, key, payload) == "*1\r\n+stored\r\n")
                #expect(try ask(clients[0], ["KV.DEL", ns, "KEYS", "1", key]) == ":1\r\n")
            }
            try await settle(cluster.nodes)
            for client in clients { #expect(try held(client, ns, keys) == []) }
            // And what is put again afterwards is there for all.
            for key in keys.prefix(10) {
                #expect(try put(clients[1], ns, key, [1, 2, 3]) == "*1\r\n+stored\r\n")
            }
            try await settle(cluster.nodes)
            for client in clients { #expect(try held(client, ns, keys) == Array(keys.prefix(10))) }
        }
    }

    @Test("a clear right after puts leaves nothing of them anywhere")
    func clearAfterPuts() async throws {
        try await TestCluster.with { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            let ns = try describe(clients)
            let keys = TestCluster.keys(60)
            let payload = SeededRandomBytes.make(128 << 10)
            for round in 0..<3 {
                for key in keys { #expect(try put(clients[round], ns, key, payload) == "*1\r\n+stored\r\n") }
                #expect(try ask(clients[round], ["KV.CLEAR", ns]).first == ":")
                try await settle(cluster.nodes)
                for client in clients { #expect(try held(client, ns, keys) == [], "round \(round)") }
            }
        }
    }

    @Test("a node that was away drops what was deleted meanwhile before it serves again, and keeps the rest")
    func away() async throws {
        try await withTaskExecutorPreference(BlockingExecutor.shared) {
            await Task.yield()
            let members = try TestCluster.members(count: 2)
            let directory = try TemporaryDirectory()
            var plan = TestCluster.Plan()
            plan.count = 2
            plan.change = { configuration, _ in
                configuration.dataDirectory = "\(directory.path)/\(configuration.port ?? 0)"
                configuration.diskByteCount = 64 << 20
            }
            let first = try await TestCluster.start(0, of: members, plan)
            var second = try await TestCluster.start(1, of: members, plan)
            func know() async throws {
                for node in [first, second] {
                    try await Eventually.holds("the nodes know each other") {
                        node.cluster?.peers.allSatisfy { $0.report != nil && !$0.isDown } == true
                    }
                }
            }
            try await know()
            var clients = try [first.connect(), second.connect()]
            let ns = try describe(clients)
            let keys = TestCluster.keys(40)
            for key in keys { #expect(try put(clients[1], ns, key, Array(key.utf8)) == "*1\r\n+stored\r\n") }
            try await settle([first, second])
            let owned = try keys.filter { try held(clients[1], ns, [$0]).count == 1 }
            #expect(owned.count == 40)
            await second.node.drainAndStop()
            try await Eventually.holds("the other one has noticed") {
                first.cluster?.peers.allSatisfy(\.isDown) == true
            }
            let gone = Array(keys.prefix(20))
            #expect(try ask(clients[0], ["KV.DEL", ns, "KEYS", "20"] + gone).hasPrefix("-CLUSTERDOWN"))
            second = try await TestCluster.start(1, of: members, plan)
            try await know()
            clients[1] = try second.connect()
            _ = try describe(clients)
            // From the first request on: what may be stale is a miss, never a deleted block.
            #expect(try held(clients[1], ns, gone) == [])
            try await Eventually.holds("it serves what it holds again") {
                second.cluster?.mayServeHeld == true
            }
            for client in clients { #expect(try held(client, ns, gone) == []) }
            for client in clients { #expect(try held(client, ns, Array(keys.suffix(20))).count == 20) }
            await first.node.drainAndStop()
            await second.node.drainAndStop()
        }
    }

    @Test("a node that was away for longer than the others remember drops what it holds from before")
    func awayForTooLong() async throws {
        try await withTaskExecutorPreference(BlockingExecutor.shared) {
            await Task.yield()
            let members = try TestCluster.members(count: 2)
            let directory = try TemporaryDirectory()
            var plan = TestCluster.Plan()
            plan.count = 2
            plan.change = { configuration, _ in
                configuration.dataDirectory = "\(directory.path)/\(configuration.port ?? 0)"
                configuration.diskByteCount = 64 << 20
                configuration.deletionCountMax = 8
            }
            let first = try await TestCluster.start(0, of: members, plan)
            var second = try await TestCluster.start(1, of: members, plan)
            try await Eventually.holds("the nodes know each other") {
                [first, second].allSatisfy { $0.cluster?.peers.allSatisfy { $0.report != nil } == true }
            }
            var clients = try [first.connect(), second.connect()]
            let ns = try describe(clients)
            let keys = TestCluster.keys(40)
            for key in keys { #expect(try put(clients[1], ns, key, Array(key.utf8)) == "*1\r\n+stored\r\n") }
            try await settle([first, second])
            await second.node.drainAndStop()
            try await Eventually.holds("the other one has noticed") {
                first.cluster?.peers.allSatisfy(\.isDown) == true
            }
            for number in 0..<20 {
                _ = try ask(clients[0], ["KV.DEL", ns, "KEYS", "1", "other-\(number)"])
            }
            second = try await TestCluster.start(1, of: members, plan)
            try await Eventually.holds("it has caught up") {
                second.cluster?.mayServeHeld == true
                    && second.cluster?.peers.allSatisfy { $0.report != nil && $0.contact.gap == nil } == true
            }
            clients[1] = try second.connect()
            #expect(second.figure("memory_blocks") == 0 && second.figure("disk_blocks") == 0)
            await first.node.drainAndStop()
            await second.node.drainAndStop()
        }
    }

    @Test("a short gap right after the nodes have started costs none of the blocks that were not deleted")
    func shortGap() async throws {
        var plan = TestCluster.Plan()
        plan.count = 2
        try await TestCluster.with(plan) { cluster in
            let clients = try cluster.nodes.map { try $0.connect() }
            let ns = try describe(clients)
            let keys = TestCluster.keys(40)
            for key in keys { #expect(try put(clients[0], ns, key, Array(key.utf8)) == "*1\r\n+stored\r\n") }
            try await settle(cluster.nodes)
            let parts = try cluster.nodes.map { try #require($0.cluster) }
            let name = try #require(NodeName("node-1"))
            try await Eventually.holds("they have been in contact") {
                parts.allSatisfy { $0.peers.allSatisfy { $0.contact.lastContact?.logID ?? 0 != 0 } }
            }
            parts[0].noteMissed([name])
            try await Eventually.holds("the other one has asked for what it missed") {
                parts[1].counters.catchUps.value > 0 && parts[1].mayServeHeld
            }
            for client in clients { #expect(try held(client, ns, keys) == keys) }
        }
    }

    @Test("a pause in contact, or a deletion that did not arrive, is a gap until it is asked for")
    func contact() {
        let contact = PeerContact(since: nil, logID: nil, now: 0)
        #expect(contact.gap == nil && contact.validUntil(limit: 50) == 50)
        #expect(!contact.answered(theirs: 100_000, saysMissed: false, at: 40, limit: 50))
        contact.note(logID: 7)
        #expect(!contact.answered(theirs: 100_040, saysMissed: false, at: 80, limit: 50))
        #expect(contact.gap == nil && contact.validUntil(limit: 50) == 130)
        #expect(contact.answered(theirs: 200_000, saysMissed: false, at: 200, limit: 50))
        #expect(
            contact.gap == PeerContact.Gap(heardAt: 100_040, logID: 7) && contact.validUntil(limit: 50) == 0
        )
        #expect(contact.answered(theirs: 200_040, saysMissed: false, at: 240, limit: 50))
        #expect(contact.gap?.since == 90_040, "until it is closed the gap only grows")
        contact.caughtUp(theirs: 200_030, logID: 7)
        #expect(contact.gap == nil && contact.validUntil(limit: 50) == 290)
        #expect(contact.answered(theirs: 200_080, saysMissed: true, at: 280, limit: 50))
        #expect(contact.gap?.since == 190_030)
        let early = PeerContact(since: nil, logID: nil, now: 0)
        #expect(early.answered(theirs: 9_000, saysMissed: true, at: 10, limit: 50))
        #expect(early.gap == PeerContact.Gap(heardAt: 0, logID: nil) && early.validUntil(limit: 50) == 0)
        let restarted = PeerContact(since: 50_000, logID: 3, now: 0)
        #expect(
            restarted.gap == PeerContact.Gap(heardAt: 50_000, logID: 3)
                && restarted.validUntil(limit: 50) == 0
        )
    }
}
