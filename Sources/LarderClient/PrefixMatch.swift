/// What a node holds of a sequence of blocks: how many of the first ones, without a hole.
public struct PrefixMatch: Hashable, Sendable {
    /// Where a block is read from.
    public enum Tier: String, Hashable, Sendable {
        /// The node's memory.
        case memory
        /// The node's disk.
        case disk
        /// Another node of its cluster.
        case peer
        /// Anywhere else.
        case other
    }

    /// The tier of each block that is held, in order.
    public let tiers: [Tier]
    /// The lease that keeps what was found readable; `nil` without one.
    public let leaseID: UInt64?

    /// Blocks held, from the first on.
    public var matchedCount: Int { tiers.count }

    /// Nothing is held.
    public static let none = PrefixMatch(tiers: [], leaseID: nil)

    /// Creates a match.
    public init(tiers: [Tier], leaseID: UInt64?) {
        self.tiers = tiers
        self.leaseID = leaseID
    }
}
