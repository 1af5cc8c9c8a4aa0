/// What became of one block that was offered to a node.
public enum StoreOutcome: Hashable, Sendable {
    /// The node keeps it.
    case stored
    /// The node had it already.
    case exists
    /// The node does not have it, and why.
    case refused(String)

    /// Whether the node holds the block now.
    public var isHeld: Bool {
        switch self {
        case .stored, .exists: true
        case .refused: false
        }
    }
}

/// How blocks are stored.
public struct StoreOptions: Hashable, Sendable {
    /// Tokens of each block; 0 when unknown.
    public var tokenCount: Int
    /// How long the blocks may be read; `nil` until they are evicted.
    public var timeToLive: Duration?
    /// Whether the answer comes only when the blocks would survive a loss of power.
    public var isDurable: Bool
    /// Whether eviction spares the blocks.
    public var isPinned: Bool

    /// Creates options.
    public init(
        tokenCount: Int = 0,
        timeToLive: Duration? = nil,
        isDurable: Bool = false,
        isPinned: Bool = false
    ) {
        self.tokenCount = tokenCount
        self.timeToLive = timeToLive
        self.isDurable = isDurable
        self.isPinned = isPinned
    }
}
