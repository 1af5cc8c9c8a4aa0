internal import Blocks
internal import LarderClient

/// For programs: exact numbers, null for what is not known.
extension TopView {
    /// One object.
    var json: JSONText {
        .object([
            "time": .string(LogLine.time(unixMilliseconds)),
            "interval_seconds": .number(Double(interval.milliseconds) / 1_000),
            "asked": .string(asked), "epoch": epoch.map { .integer($0) } ?? .null,
            "nodes": .array(nodes.map { Self.json($0, at: seconds) }),
            "hot": hot.map { .array($0.map(Self.json)) } ?? .null,
        ])
    }

    private static func json(_ prefix: TopPrefix) -> JSONText {
        .object([
            "last_key": .string(Hexadecimal.text(of: prefix.lastKey)), "hits": .integer(prefix.hitCount),
            "tokens": .integer(prefix.tokenCount), "blocks": .integer(prefix.blockCount),
        ])
    }

    private static func json(_ node: TopNode, at seconds: Double) -> JSONText {
        let activity = node.activity
        let got = activity.flatMap { TierShares($0.got) }
        let matched = activity.flatMap { TierShares($0.matched) }
        let identity: KeyValuePairs<String, JSONText> = [
            "node": .string(node.name), "address": .string(node.address), "state": .string(node.state),
            "answers": .bool(node.answers), "up": node.member.map { .bool($0.isUp) } ?? .null,
            "silent_seconds": number(node.silence(at: seconds)), "share": number(node.share),
            "requests_per_second": number(activity?.requestsPerSecond),
            "received_bytes_per_second": number(activity?.receivedBytesPerSecond),
            "sent_bytes_per_second": number(activity?.sentBytesPerSecond),
            "get_hit_ratio": number(got?.hit), "get_memory_ratio": number(got?.memory),
            "get_disk_ratio": number(got?.disk), "get_peer_ratio": number(got?.peer),
            "match_hit_ratio": number(matched?.hit), "match_memory_ratio": number(matched?.memory),
            "match_disk_ratio": number(matched?.disk), "match_peer_ratio": number(matched?.peer),
        ]
        let phase = node.sample?.text("cluster_handover_phase")
        return .object(
            identity.map { JSONText.Member(name: $0.key, value: $0.value) }
                + figureNames.map { name in
                    JSONText.Member(name: name, value: node.figure(name).map { .integer($0) } ?? .null)
                }
                + latencyNames.map { name in
                    JSONText.Member(name: name, value: number(node.sample?.number(name)))
                }
                + [.init(name: "cluster_handover_phase", value: phase.map { .string($0) } ?? .null)]
        )
    }

    private static let figureNames = [
        "uptime_seconds", "connections", "memory_used_bytes", "memory_arena_bytes", "disk_directory_bytes",
        "disk_budget_bytes", "write_queue_blocks", "write_queue_bytes", "handoff_queue_blocks",
        "handoff_queue_bytes", "load_queue_blocks", "peer_loads_under_way", "puts_waiting", "leases",
        "cluster_handover_seen_blocks", "cluster_handover_given_blocks", "cluster_handover_given_bytes",
        "cluster_handover_held_blocks", "cluster_handover_failed_blocks",
    ]

    private static let latencyNames = ["match", "get", "put", "peer", "other"].flatMap { kind in
        ["requests", "p50_microseconds", "p90_microseconds", "p99_microseconds", "max_microseconds"]
            .map { "latency_\(kind)_\($0)" }
    }

    private static func number(_ value: Double?) -> JSONText {
        value.map { .number($0) } ?? .null
    }
}
