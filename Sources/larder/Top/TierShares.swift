/// Where the blocks came from that were asked for: parts of all of them.
struct TierShares: Hashable, Sendable {
    /// Blocks by tier, and those that were nowhere.
    struct Counts: Hashable, Sendable {
        var memory = 0
        var disk = 0
        var peer = 0
        var absent = 0

        static func + (one: Counts, other: Counts) -> Counts {
            Counts(
                memory: one.memory &+ other.memory,
                disk: one.disk &+ other.disk,
                peer: one.peer &+ other.peer,
                absent: one.absent &+ other.absent
            )
        }

        var total: Int { memory &+ disk &+ peer &+ absent }
    }

    let memory: Double
    let disk: Double
    let peer: Double

    /// All that was held somewhere.
    var hit: Double { memory + disk + peer }

    /// `nil` when nothing was asked for.
    init?(_ counts: Counts) {
        guard counts.total > 0 else { return nil }
        let total = Double(counts.total)
        memory = Double(counts.memory) / total
        disk = Double(counts.disk) / total
        peer = Double(counts.peer) / total
    }
}
