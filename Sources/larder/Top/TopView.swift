/// Everything that `larder top` shows at one moment.
struct TopView: Hashable, Sendable {
    /// The address that was asked for the cluster.
    let asked: String
    /// How often it is asked.
    let interval: TimeSpan
    /// Seconds on the clock of the samples.
    var seconds = 0.0
    /// The time of the look.
    var unixMilliseconds: UInt64 = 0
    /// The cluster's epoch; `nil` for a node that is in none.
    var epoch: Int?
    var nodes: [TopNode] = []
    /// The hottest prefixes of a namespace; `nil` when none is asked for.
    var hot: [TopPrefix]?

    /// Takes who is in the cluster; what is known of those that stay is kept.
    mutating func take(_ members: [TopNode]) {
        nodes = members.map { member in
            guard var known = nodes.first(where: { $0.name == member.name && $0.address == member.address })
            else { return member }
            known.member = member.member
            return known
        }
    }

    /// Nodes that do not answer.
    var silent: [TopNode] { nodes.filter { !$0.answers } }

    /// What all nodes did together; `nil` before anything is known.
    var activity: NodeActivity? {
        let parts = nodes.compactMap(\.activity)
        return parts.isEmpty ? nil : NodeActivity(sumOf: parts)
    }
}

/// A prefix that is asked for often, on any node.
struct TopPrefix: Hashable, Sendable {
    /// The key of its last block.
    let lastKey: [UInt8]
    let blockCount: Int
    let tokenCount: Int
    let hitCount: Int

    /// The prefixes of all nodes in one list, the hottest first.
    ///
    /// Each prefix counts once, with the sum of its hits on the nodes that clients asked. These know all its blocks; a
    /// node that they asked in turn knows those that it holds, and its hits are the same ones.
    static func merge(_ lists: [[TopPrefix]], limit: Int) -> [TopPrefix] {
        var merged: [[UInt8]: TopPrefix] = [:]
        for prefix in lists.joined() {
            guard let known = merged[prefix.lastKey], known.blockCount >= prefix.blockCount else {
                merged[prefix.lastKey] = prefix
                continue
            }
            guard known.blockCount == prefix.blockCount else { continue }
            merged[prefix.lastKey] = TopPrefix(
                lastKey: prefix.lastKey,
                blockCount: prefix.blockCount,
                tokenCount: max(prefix.tokenCount, known.tokenCount),
                hitCount: prefix.hitCount &+ known.hitCount
            )
        }
        let sorted = merged.values.sorted {
            $0.hitCount != $1.hitCount
                ? $0.hitCount > $1.hitCount : $0.lastKey.lexicographicallyPrecedes($1.lastKey)
        }
        return Array(sorted.prefix(max(0, limit)))
    }
}
