import Blocks
import Membership
import Placement
import TestSupport
import Testing

@testable import Cluster
@testable import Node

@Suite("Who owns a slot, and since when", .serialized)
struct ClusterOwnershipTests {
    private func ask(_ client: WireClient, _ words: [String]) throws -> String {
        try client.request(bytes: words.map { Array($0.utf8) })
        return try client.receiveReply()
    }

    private func slot(_ key: String) -> UInt16 { unsafe Slot.of(Array(key.utf8).span.bytes) }

    private var stranger: Member {
        get throws {
            let name = try #require(NodeName("node-9"))
            return Member(name: name, host: "127.0.0.1", port: 1, run: 9)
        }
    }

    @Test(
        "a slot that was lost and won back begins without keys, at once, and keeps what is set from then on"
    )
    func lostAndWonBack() async throws {
        var plan = TestCluster.Plan()
        plan.count = 2
        try await TestCluster.with(plan) { cluster in
            let part = try #require(cluster.nodes[1].cluster)
            let client = try cluster.nodes[1].connect()
            let keys = try TestCluster.keys(200).filter { try cluster.owner(of: $0) == 1 }
            for key in keys { #expect(try client.ask("SET", key, "old") == "+OK\r\n") }
            let members = part.view.members
            part.membersChanged(members + [try stranger], revision: 5)
            let lost = keys.filter { part.view.owner(of: slot($0))?.name.description == "node-9" }
            #expect(!lost.isEmpty && lost.count < keys.count)
            part.membersChanged(members, revision: 6)
            // The first may be set again before anybody looked.
            #expect(try client.ask("SET", lost[0], "new") == "+OK\r\n")
            #expect(try ask(client, ["EXISTS"] + lost.dropFirst()) == ":0\r\n")
            #expect(try client.ask("GET", lost[0]) == "$3\r\nnew\r\n")
            for key in lost.dropFirst() {
                #expect(try client.ask("GET", key) == "$-1\r\n")
            }
            for key in keys where !lost.contains(key) {
                #expect(try client.ask("GET", key) == "$3\r\nold\r\n")
            }
        }
    }

    @Test("a node that is no member of a newer view steps aside, and comes back without plain keys")
    func stepsAside() async throws {
        var plan = TestCluster.Plan()
        plan.count = 2
        try await TestCluster.with(plan) { cluster in
            let parts = try cluster.nodes.map { try #require($0.cluster) }
            let client = try cluster.nodes[1].connect()
            let keys = try TestCluster.keys(40).filter { try cluster.owner(of: $0) == 1 }
            for key in keys { #expect(try client.ask("SET", key, "old") == "+OK\r\n") }
            let members = parts[0].view.members
            // As when the membership has dropped node 1, and it does not hear of that.
            parts[1].sourceWasRead(upTo: 1_000, ownRecordAt: 1_000)
            parts[0].membersChanged(members.filter { $0.name.description == "node-0" }, revision: 3)
            parts[0].sourceWasRead(upTo: 1_001, ownRecordAt: 1_001)
            try await Eventually.holds("node 1 owns nothing") { parts[1].routing.ownPlace == nil }
            // It passes requests on to who owns the slots now.
            #expect(try client.ask("SET", keys[0], "new") == "+OK\r\n")
            #expect(try cluster.nodes[0].connect().ask("GET", keys[0]) == "$3\r\nnew\r\n")
            #expect(try client.ask("GET", keys[0]) == "$3\r\nnew\r\n")
            // What it hears of others does not bring it back: its record does.
            parts[1].membersChanged(members, revision: 2_000)
            #expect(parts[1].routing.ownPlace == nil)
            parts[0].membersChanged(members, revision: 4)
            parts[0].sourceWasRead(upTo: 1_002, ownRecordAt: 1_001)
            parts[1].sourceWasRead(upTo: 1_002, ownRecordAt: 1_002)
            #expect(parts[1].routing.ownPlace != nil)
            #expect(try ask(client, ["EXISTS"] + keys) == ":0\r\n")
        }
    }

    @Test(
        "a node whose peer has not read its record yet keeps its place, however often that peer's list changed"
    )
    func newcomer() async throws {
        var plan = TestCluster.Plan()
        plan.count = 2
        try await TestCluster.with(plan) { cluster in
            let parts = try cluster.nodes.map { try #require($0.cluster) }
            let members = parts[0].view.members
            parts[1].sourceWasRead(upTo: 1_000, ownRecordAt: 1_000)
            parts[0].membersChanged(members.filter { $0.name.description == "node-0" }, revision: 5_000)
            parts[0].sourceWasRead(upTo: 999, ownRecordAt: 900)
            let name = members[1].name.description
            let answer = try #require(
                parts[0].answerBeat(from: name, state: "active", weight: 1, run: Int(members[1].run))
            )
            #expect(answer[6] == "0" && answer[7] == "999")
            let peer = try #require(parts[1].peers.first)
            parts[1].stepAside(for: peer, revision: 999)
            #expect(parts[1].routing.ownPlace != nil)
            parts[1].stepAside(for: peer, revision: 1_001)
            #expect(parts[1].routing.ownPlace == nil)
            // Whose data is lost begins to count anew.
            parts[1].sourceWasRead(upTo: 7, ownRecordAt: 7)
            #expect(parts[1].routing.ownPlace != nil)
        }
    }

    @Test("a change that the membership tells counts at once, whatever the member said of itself before")
    func recordsAndReports() async throws {
        var plan = TestCluster.Plan()
        plan.count = 2
        try await TestCluster.with(plan) { cluster in
            let part = try #require(cluster.nodes[0].cluster)
            let members = part.view.members
            var changed = members
            for index in changed.indices where changed[index].name.description == "node-1" {
                changed[index].state = .draining
            }
            part.membersChanged(members, revision: 1)
            part.membersChanged(changed, revision: 2)
            #expect(part.view.members.first { $0.name.description == "node-1" }?.state == .draining)
        }
    }
}
