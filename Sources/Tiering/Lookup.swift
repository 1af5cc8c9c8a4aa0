package import MemoryTier

/// Where a block is kept.
package enum Tier: UInt8, Sendable, CaseIterable {
    /// In the arena.
    case memory
    /// In RocksDB.
    case disk
    /// On another node of the cluster.
    case peer
}

/// What a look-up that never blocks can tell.
package enum Lookup: Sendable {
    /// Readable now; identity is proved, and the checksum unless the caller took that on.
    case memory(BlockLease)
    /// On disk, packed in memory, or perhaps on another node: `BlockStore.load` brings it.
    case stored
    /// A miss.
    case absent
}

/// How many leading keys are held.
package struct Match: Sendable {
    /// The tier of each matched key, in order; its count is the match's length.
    package let tiers: [Tier]
    /// The lease that keeps them readable, when one was asked for and something matched.
    package let leaseID: UInt64?

    /// The tiers as runs of neighbours in the same one: mostly one, or memory and then disk.
    package var runs: [(tier: Tier, blockCount: Int)] {
        var runs: [(tier: Tier, blockCount: Int)] = []
        var start = 0
        for index in tiers.indices where index + 1 == tiers.count || tiers[index + 1] != tiers[index] {
            runs.append((tiers[index], index + 1 - start))
            start = index + 1
        }
        return runs
    }
}

/// Whose leases they are: a client's connection, or another node of the cluster.
///
/// A connection's leases end with it. A node's do not, since it has several connections and closes one after a late reply:
/// they end by their time, by its word, or when a new run of the node has begun.
package struct LeaseOwner: Hashable, Sendable {
    private enum Value: Hashable {
        case connection(UInt64)
        case node(String)
    }

    private let value: Value

    /// A connection, by its number, which is unique in the node's life.
    package init(connectionID: UInt64) {
        value = .connection(connectionID)
    }

    /// Another node of the cluster, by its name.
    package init(node: String) {
        value = .node(node)
    }
}

/// Why a key is, or is not, here.
package enum Explanation: String, Sendable, CaseIterable {
    case memory, disk, neverSeen, evicted, expired, deleted, replaced, corrupt

    /// A sentence for a person.
    package var sentence: String {
        switch self {
        case .memory: "held in memory"
        case .disk: "held on disk"
        case .neverSeen: "never stored here, or gone so long that its departure is forgotten"
        case .evicted: "evicted to make room"
        case .expired: "its time to live ended"
        case .deleted: "deleted or cleared by a client"
        case .replaced: "replaced by other bytes"
        case .corrupt: "its stored bytes failed their checksum and were quarantined"
        }
    }
}

/// A prefix that many matches ended in.
package struct HotPrefix: Sendable {
    /// The prefix's keys, first block first.
    package let keys: [[UInt8]]
    /// How often a match ended exactly here.
    package let hits: Int
    /// Tokens of its blocks, as far as the clients said.
    package let tokenCount: Int
}
