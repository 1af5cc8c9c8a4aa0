/// What a node did between two samples, each a second.
///
/// A counter that went back, or a node that is up for less long than before, was started anew: all that it counts now is
/// new since the first sample.
struct NodeActivity: Hashable, Sendable {
    var requestsPerSecond = 0.0
    var receivedBytesPerSecond = 0.0
    var sentBytesPerSecond = 0.0
    /// Blocks and values that were read, by where they were.
    var got = TierShares.Counts()
    /// Keys of matches, by where their blocks were.
    var matched = TierShares.Counts()
    /// Blocks that were looked at to hand them over.
    var handoverBlockCount = 0

    /// Nothing.
    init() {}

    /// `nil` unless time has passed.
    init?(from before: NodeSample, to now: NodeSample) {
        let seconds = now.seconds - before.seconds
        guard seconds > 0 else { return nil }
        let isRestarted = (now.integer("uptime_seconds") ?? 0) < (before.integer("uptime_seconds") ?? 0)
        func increase(_ figure: (NodeSample) -> Int?) -> Int {
            guard let value = figure(now) else { return 0 }
            guard !isRestarted, let earlier = figure(before), value >= earlier else { return value }
            return value - earlier
        }
        func increase(_ name: String) -> Int { increase { $0.integer(name) } }
        requestsPerSecond = Double(increase("commands")) / seconds
        receivedBytesPerSecond = Double(increase("received_bytes")) / seconds
        sentBytesPerSecond = Double(increase("sent_bytes")) / seconds
        got = TierShares.Counts(
            memory: increase("hits_memory"),
            disk: increase("hits_disk"),
            peer: increase("hits_peer"),
            absent: increase { $0.sum(prefix: "misses_") }
        )
        matched = TierShares.Counts(
            memory: increase("match_matched_memory_blocks"),
            disk: increase("match_matched_disk_blocks"),
            peer: increase("match_matched_peer_blocks")
        )
        matched.absent = max(0, increase("match_queried_blocks") - matched.total)
        handoverBlockCount = increase("cluster_handover_seen_blocks")
    }

    /// What several nodes did together.
    init(sumOf parts: [NodeActivity]) {
        for part in parts {
            requestsPerSecond += part.requestsPerSecond
            receivedBytesPerSecond += part.receivedBytesPerSecond
            sentBytesPerSecond += part.sentBytesPerSecond
            got = got + part.got
            matched = matched + part.matched
            handoverBlockCount = handoverBlockCount &+ part.handoverBlockCount
        }
    }
}
