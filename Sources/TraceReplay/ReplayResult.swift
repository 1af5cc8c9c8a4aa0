/// What a replay of a trace came to.
package struct ReplayResult: Hashable, Sendable {
    /// Blocks asked for.
    package var blockCount = 0
    /// Of those, blocks that were held, with every block before them in their request.
    package var hitCount = 0

    /// Nothing was asked.
    package init() {}

    /// Hits per block asked for, 0 to 1.
    package var hitRatio: Double { blockCount == 0 ? 0 : Double(hitCount) / Double(blockCount) }
}
