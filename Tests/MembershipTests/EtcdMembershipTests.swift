import Blocks
import Membership
import Placement
import Testing

@Suite("etcd membership", .serialized)
struct EtcdMembershipTests {
    @Test("nodes see each other come, change and go")
    func life() async throws {
        let etcd = try await EtcdProcess()
        let configuration = try EtcdNode.configuration(etcd.address)
        let first = try await EtcdNode.started("a", configuration)
        #expect(first.recorder.names == ["a"])
        var second = try await EtcdNode.started("b", configuration)
        #expect(second.recorder.names == ["a", "b"])
        try await waitUntil("a sees b") { first.recorder.names == ["a", "b"] }

        second.member.state = .draining
        second.change(weight: 7)
        try await waitUntil("a sees b's change") {
            first.recorder.members.last?.state == .draining && first.weight(of: "b") == 7
        }
        #expect(second.weight(of: "b") == 7)

        await second.membership.stop(leaves: true)
        try await waitUntil("a sees that b has left") { first.recorder.names == ["a"] }

        let third = try await EtcdNode.started("c", configuration)
        try await waitUntil("a sees c") { first.recorder.names == ["a", "c"] }
        await third.membership.stop(leaves: false)
        try await waitUntil("c's time is over") { first.recorder.names == ["a"] }
        let status = first.membership.status
        #expect(status.isConnected && status.lossCount == 0 && status.reregistrationCount == 0)
        #expect(status.source == "etcd://\(etcd.address)/test")
        await first.membership.stop(leaves: true)
        #expect(try etcd.control("get", "--prefix", "/test/", "--keys-only").isEmpty)
    }

    @Test("revisions of nodes with long and short histories can be compared, and show who was taken out")
    func revisions() async throws {
        let etcd = try await EtcdProcess()
        let configuration = try EtcdNode.configuration(etcd.address)
        var first = try await EtcdNode.started("a", configuration)
        // Many changes: a count of its own would be far ahead of that of a node that has just come.
        for weight in UInt32(2)...12 {
            first.change(weight: weight)
            try await waitUntil("etcd has it") {
                try etcd.control("get", "/test/members/a").contains("\(weight)")
            }
        }
        let second = try await EtcdNode.started("b", configuration)
        try await waitUntil("both have read b's record") {
            first.recorder.readRevision >= second.recorder.recordRevision
                && second.recorder.readRevision >= second.recorder.recordRevision
                && second.recorder.recordRevision > 0
        }
        #expect(second.recorder.recordRevision > 10)
        let before = second.recorder.recordRevision
        try etcd.control("del", "/test/members/b")
        try await waitUntil("a has read that b is out, and b is in again") {
            first.recorder.readRevision > before && second.recorder.recordRevision > before
                && first.recorder.names == ["a", "b"]
        }
        #expect(second.recorder.lostPlaceCount > 0)
        await first.membership.stop(leaves: true)
        await second.membership.stop(leaves: true)
    }

    @Test("namespaces and users are shared")
    func sharing() async throws {
        let etcd = try await EtcdProcess()
        let configuration = try EtcdNode.configuration(etcd.address)
        let early = try NamespaceDescription(json: Array(#"{"model":"early"}"#.utf8))
        let late = try NamespaceDescription(json: Array(#"{"model":"late"}"#.utf8))
        let first = try EtcdNode("a", configuration)
        first.membership.share(early)
        try await first.start()
        let second = try await EtcdNode.started("b", configuration)
        try await waitUntil("b knows what was shared") { second.recorder.namespaces == [early] }
        second.membership.share(late)
        second.membership.share(late)
        try await waitUntil("a knows what was shared") { first.recorder.namespaces == [late] }

        let line = "ops:default:read,admin:scrypt$14$8$1$c2FsdA$aGFzaA"
        try etcd.control("put", "/test/users/ops", line)
        for node in [first, second] {
            try await waitUntil("the user is told") { node.recorder.users == [line] }
        }
        try etcd.control("del", "/test/users/ops")
        try await waitUntil("the user is gone") { first.recorder.users.isEmpty }
        await first.membership.stop(leaves: true)
        await second.membership.stop(leaves: true)
    }

    @Test("etcd that stands still for longer than a time to live takes nobody away")
    func standstill() async throws {
        let etcd = try await EtcdProcess()
        try await absence(of: etcd) {
            etcd.stop()
        } untilThen: { nodes in
            nodes.allSatisfy { !$0.membership.status.isConnected && $0.membership.status.silenceSeconds > 3 }
        } ends: {
            etcd.goOn()
        }
    }

    @Test("etcd that is killed and started again with its data takes nobody away")
    func restart() async throws {
        let etcd = try await EtcdProcess()
        try await absence(of: etcd) {
            etcd.kill()
        } untilThen: { nodes in
            nodes.allSatisfy { !$0.membership.status.isConnected }
        } ends: {
            try await etcd.start()
        }
    }

    @Test("etcd that comes back empty takes nobody away, and is filled again")
    func loss() async throws {
        let etcd = try await EtcdProcess()
        try etcd.control("put", "/test/users/ops", "ops:default:read:scrypt$14$8$1$c2FsdA$aGFzaA")
        let nodes = try await absence(of: etcd, stops: false) {
            etcd.kill()
            try etcd.wipe()
        } untilThen: { nodes in
            nodes.allSatisfy { !$0.membership.status.isConnected }
        } ends: {
            try await etcd.start()
        }
        for node in nodes {
            try await waitUntil("it registers again") { node.membership.status.reregistrationCount > 0 }
            #expect(node.recorder.users.count == 1)
        }
        try await waitUntil("namespaces are in etcd again") {
            try etcd.control("get", "--prefix", "/test/namespaces/").contains(#"{"model":"m"}"#)
        }
        for node in nodes { await node.membership.stop(leaves: true) }
    }

    @Test(
        "a name that another node has is refused; a restart takes its own over, and the former run does not fight"
    )
    func names() async throws {
        let etcd = try await EtcdProcess()
        let configuration = try EtcdNode.configuration(etcd.address)
        let watcher = try await EtcdNode.started("watcher", configuration, port: 9)
        let former = try await EtcdNode.started("a", configuration, run: 1)
        let stranger = try EtcdNode("a", configuration, port: 8_000, run: 2)
        let error = await #expect(throws: CacheError.self) { try await stranger.start() }
        #expect(error?.code == .conflict)
        #expect(error?.message.contains("127.0.0.1:7379") == true)

        var later = try await EtcdNode.started("a", configuration, run: 3)
        later.change(weight: 5)
        try await waitUntil("the later run is seen") { watcher.weight(of: "a") == 5 }
        // The former run would put its record within two of its beats.
        let silence = former.membership.status.reregistrationCount
        try await Task.sleep(for: EtcdNode.memberTTL)
        #expect(watcher.weight(of: "a") == 5)
        #expect(former.membership.status.reregistrationCount == silence)
        for node in [watcher, former, later] { await node.membership.stop(leaves: true) }
    }

    @Test("garbage in etcd is skipped, and a record that somebody took out is put again")
    func garbage() async throws {
        let etcd = try await EtcdProcess()
        let configuration = try EtcdNode.configuration(etcd.address)
        for key in ["members/x", "members/x y", "members/a", "namespaces/12", "users/eve", "blocks/1"] {
            try etcd.control("put", "/test/\(key)", "garbage")
        }
        let node = try await EtcdNode.started("a", configuration)
        #expect(node.recorder.names == ["a"])
        #expect(node.membership.status.skippedRecordCount == 4)
        try etcd.control("put", "/test/members/y", #"{"version":1}"#)
        try await waitUntil("it is counted") { node.membership.status.skippedRecordCount == 5 }
        #expect(
            node.recorder.names == ["a"] && node.recorder.namespaces.isEmpty && node.recorder.users.isEmpty
        )
        try etcd.control("del", "/test/members/a")
        try await waitUntil("it registers again") { node.membership.status.reregistrationCount == 1 }
        await node.membership.stop(leaves: true)
    }

    /// Two nodes, etcd goes away and comes back; the list is never shorter, and changes arrive again.
    @discardableResult
    private func absence(
        of etcd: EtcdProcess,
        stops: Bool = true,
        begins: () async throws -> Void,
        untilThen: ([EtcdNode]) -> Bool,
        ends: () async throws -> Void
    ) async throws -> [EtcdNode] {
        let configuration = try EtcdNode.configuration(etcd.address)
        let first = try await EtcdNode.started("a", configuration)
        var second = try await EtcdNode.started("b", configuration)
        let nodes = [first, second]
        for node in nodes {
            try await waitUntil("both are there") { node.recorder.names == ["a", "b"] }
            node.recorder.countFewest()
        }
        first.membership.share(try NamespaceDescription(json: Array(#"{"model":"m"}"#.utf8)))
        try await waitUntil("what is shared has arrived") { second.recorder.namespaces.count == 1 }

        try await begins()
        try await waitUntil("etcd is missed") { untilThen(nodes) }
        // What is said meanwhile is told later.
        second.change(weight: 9)
        try await ends()
        try await waitUntil("etcd is back") { nodes.allSatisfy { $0.membership.status.isConnected } }
        try await waitUntil("a sees b's change") { first.weight(of: "b") == 9 }
        for node in nodes {
            #expect(node.recorder.names == ["a", "b"])
            #expect(node.recorder.fewest == 2)
            #expect(node.membership.status.lossCount >= 1)
        }
        if stops { for node in nodes { await node.membership.stop(leaves: true) } }
        return nodes
    }
}
