/// One prefix that many requests share.
public struct PrefixHeat: Hashable, Sendable {
    /// The keys of its blocks, from the first on.
    public let keys: [[UInt8]]
    /// Tokens that the blocks hold; 0 when unknown.
    public let tokenCount: Int
    /// How often it was asked for.
    public let hitCount: Int

    /// Creates a figure.
    public init(keys: [[UInt8]], tokenCount: Int, hitCount: Int) {
        self.keys = keys
        self.tokenCount = tokenCount
        self.hitCount = hitCount
    }
}
