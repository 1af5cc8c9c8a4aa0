import Testing

@testable import LarderClient
@testable import larder

@Suite("what larder top makes of nodes' figures")
struct TopTests {
    private func sample(_ seconds: Double, _ figures: [String: Int]) -> NodeSample {
        NodeSample(seconds: seconds, figures: figures.mapValues { String($0) })
    }

    @Test("rates and hits are of the time between two samples")
    func rates() throws {
        let before = sample(
            10,
            [
                "uptime_seconds": 100, "commands": 1_000, "received_bytes": 0, "hits_memory": 50,
                "misses_evicted": 9,
            ]
        )
        let now = sample(
            12,
            [
                "uptime_seconds": 102, "commands": 1_500, "received_bytes": 4_000_000, "sent_bytes": 10,
                "hits_memory": 110, "hits_disk": 20, "hits_peer": 10, "misses_evicted": 14,
                "misses_expired": 5,
                "match_queried_blocks": 8, "match_matched_memory_blocks": 2, "match_matched_disk_blocks": 4,
            ]
        )
        let activity = try #require(NodeActivity(from: before, to: now))
        #expect(activity.requestsPerSecond == 250)
        #expect(activity.receivedBytesPerSecond == 2_000_000)
        #expect(activity.sentBytesPerSecond == 5)
        #expect(activity.got == TierShares.Counts(memory: 60, disk: 20, peer: 10, absent: 10))
        let got = try #require(TierShares(activity.got))
        #expect(got.memory == 0.6 && got.disk == 0.2 && got.peer == 0.1)
        #expect(activity.matched == TierShares.Counts(memory: 2, disk: 4, absent: 2))
        #expect(TierShares(TierShares.Counts()) == nil)
        #expect(NodeActivity(from: now, to: now) == nil)
        #expect(NodeActivity(from: now, to: before) == nil)
    }

    @Test("what a node counts after a restart is new, never negative")
    func restart() throws {
        let before = sample(10, ["uptime_seconds": 100, "commands": 1_000, "sent_bytes": 10])
        let restarted = sample(12, ["uptime_seconds": 1, "commands": 20, "sent_bytes": 4_000])
        let activity = try #require(NodeActivity(from: before, to: restarted))
        #expect(activity.requestsPerSecond == 10)
        #expect(activity.sentBytesPerSecond == 2_000, "more than before the restart, and still all new")
        // A counter that goes back alone tells the same.
        let unknown = try #require(
            NodeActivity(from: sample(1, ["commands": 7]), to: sample(2, ["commands": 5]))
        )
        #expect(unknown.requestsPerSecond == 5)
    }

    @Test("a node that is silent keeps its figures, has no rates, and is measured anew when it is back")
    func silence() {
        var node = TopNode(name: "a", address: "h:1", member: Self.member("a", isUp: true))
        node.take(nil)
        #expect(node.state == "silent" && node.silence(at: 5) == nil)
        node.take(sample(1, ["commands": 10, "leases": 3]))
        #expect(node.state == "active" && node.activity == nil)
        node.take(sample(2, ["commands": 20, "leases": 4]))
        #expect(node.activity?.requestsPerSecond == 10)
        node.take(nil)
        #expect(node.activity == nil && node.figure("leases") == 4 && node.silence(at: 7) == 5)
        node.member = Self.member("a", isUp: false)
        #expect(node.state == "down")
        node.take(sample(12, ["commands": 120, "leases": 4]))
        #expect(node.activity?.requestsPerSecond == 10, "over all the time since it was heard")
        #expect(TopNode(name: "x", address: "x").state == "down")
    }

    @Test("members come and go, and what is known of those that stay is kept")
    func members() {
        var view = TopView(asked: "h:1", interval: TimeSpan(milliseconds: 1_000))
        view.take([Self.node("a"), Self.node("b")])
        view.nodes[1].take(sample(1, ["leases": 3]))
        var renewed = Self.node("b")
        renewed.member = Self.member("b", isUp: false)
        view.take([renewed, Self.node("c")])
        #expect(view.nodes.map(\.name) == ["b", "c"])
        #expect(view.nodes[0].figure("leases") == 3)
        #expect(view.nodes[0].member?.isUp == false)
        #expect(view.silent.map(\.name) == ["c"])
    }

    @Test("the hottest prefixes of all nodes are one list, each prefix once")
    func hot() {
        func prefix(_ key: String, _ hits: Int, blocks: Int = 2) -> TopPrefix {
            TopPrefix(lastKey: Array(key.utf8), blockCount: blocks, tokenCount: 32, hitCount: hits)
        }
        let merged = TopPrefix.merge(
            [
                [prefix("x", 5), prefix("y", 9, blocks: 1), prefix("y", 4)],
                [prefix("y", 3), prefix("z", 1), prefix("a", 1), prefix("x", 8, blocks: 1)],
            ],
            limit: 3
        )
        #expect(merged == [prefix("y", 7), prefix("x", 5), prefix("a", 1)])
        #expect(TopPrefix.merge([], limit: 3) == [])
    }

    @Test("the screen is at most 80 columns wide whatever the figures, and moves no cursor")
    func width() {
        let names = [
            "commands", "received_bytes", "sent_bytes", "hits_memory", "memory_used_bytes",
            "memory_arena_bytes",
            "disk_directory_bytes", "disk_budget_bytes", "write_queue_bytes", "handoff_queue_bytes",
            "load_queue_blocks", "peer_loads_under_way", "puts_waiting", "leases",
            "cluster_handover_failed_blocks", "cluster_handover_seen_blocks", "match_queried_blocks",
            "match_matched_memory_blocks",
        ]
        let latencies = ["match", "get", "put", "peer", "other"].flatMap { kind in
            ["requests", "p50_microseconds", "p99_microseconds"].map { "latency_\(kind)_\($0)" }
        }
        for value in [0, 1, 999, 1_000, 9_999, 99_950, 1_048_064, 999_500_000, 1_099_000_000_000] {
            var view = TopView(asked: "127.0.0.1:7379", interval: TimeSpan(milliseconds: 1_000))
            view.take((0..<3).map { Self.node("a-very-long-name-\($0)\u{1b}[2J") })
            for index in 0..<2 {
                var figures: [String: String] = ["cluster_handover_phase": "giving"]
                for name in names + latencies { figures[name] = String(value) }
                view.nodes[index].take(NodeSample(seconds: 1, figures: figures.mapValues { _ in "0" }))
                view.nodes[index].take(NodeSample(seconds: 2, figures: figures))
            }
            view.hot = [
                TopPrefix(
                    lastKey: Array(repeating: 0xff, count: 512),
                    blockCount: value,
                    tokenCount: value,
                    hitCount: value
                )
            ]
            // The second line has the names of all nodes that are silent.
            for line in view.lines.enumerated() where line.offset != 1 {
                #expect(line.element.count <= 80, "\(line.element)")
            }
            #expect(!view.lines.joined().contains("\u{1b}"))
        }
    }

    @Test("hand-over shows while blocks are looked at, and when a drain is done")
    func handover() {
        func shown(_ phase: String, seen: [Int], state: String = "active") -> Bool {
            var view = TopView(asked: "h:1", interval: TimeSpan(milliseconds: 1_000))
            view.take([TopNode(name: "a", address: "h:1", member: Self.member("a", isUp: true, state: state))]
            )
            for (second, count) in seen.enumerated() {
                let figures = [
                    "cluster_handover_phase": phase, "cluster_handover_seen_blocks": String(count),
                    "cluster_handover_given_bytes": "5000",
                ]
                view.nodes[0].take(NodeSample(seconds: Double(second), figures: figures))
            }
            return view.lines.contains { $0.hasSuffix("\(phase) 5.00kB") }
        }
        #expect(shown("giving", seen: [1, 2]))
        #expect(shown("giving", seen: [2, 2], state: "draining"))
        #expect(shown("done", seen: [2, 2]))
        #expect(!shown("giving", seen: [2, 2]))
        #expect(!shown("idle", seen: [1, 2]))
    }

    @Test("a screen shows what fits, and says how much does not")
    func screen() {
        let lines = (1...10).map { "line \($0)" }
        #expect(TopScreen(rowCount: 11, columnCount: 80).fit(lines) == lines)
        #expect(
            TopScreen(rowCount: 4, columnCount: 6).fit(lines) == ["line 1", "line 2", "... 8 "]
        )
        #expect(
            TopScreen(rowCount: 5, columnCount: 80).fit(["a", "", "b", "", "c", "d"]) == ["a", "b", "c", "d"]
        )
        #expect(TopScreen(rowCount: 1, columnCount: 80).fit(lines).count == 1)
        #expect(
            TopScreen(rowCount: 9, columnCount: 80).frame(["a", "b"], isFirst: true)
                == "\u{1b}[2J\u{1b}[Ha\u{1b}[K\r\nb\u{1b}[K\r\n\u{1b}[J"
        )
    }

    private static func node(_ name: String) -> TopNode {
        TopNode(name: name, address: "h:1", member: member(name, isUp: true))
    }

    private static func member(_ name: String, isUp: Bool, state: String = "active") -> ClusterMembers.Node {
        ClusterMembers.Node(
            name: name,
            host: "h",
            port: 1,
            controlPort: 0,
            weight: 1,
            state: state,
            isUp: isUp,
            silenceMilliseconds: 0,
            slotCount: 8_192,
            memoryByteCount: 1,
            diskByteCount: 1
        )
    }
}
