package import Blocks

/// A cache of blocks as a worker uses it: ask, load, store.
///
/// Nothing here fails: a cache that is away holds nothing, delivers nothing and takes nothing, and the worker computes.
package protocol BlockExchange: Sendable {
    /// How many of the first `keys` are held, and where; what is found stays readable under the match's lease.
    func match(_ keys: KeyBatch) async -> BlockMatch

    /// Loads payloads into the first regions of `buffer`, one for each key.
    ///
    /// - Returns: how many of the first ones arrived whole.
    func load(_ keys: KeyBatch, lease: UInt64?, into buffer: BlockBuffer) async -> Int

    /// Offers the first regions of `buffer` as the payloads of `keys`, each with `tokenCount` tokens.
    func store(_ keys: KeyBatch, from buffer: BlockBuffer, tokenCount: Int) async -> StoreCount

    /// Ends a match's lease.
    func release(_ lease: UInt64) async
}

/// The leading blocks that a cache holds.
package struct BlockMatch: Sendable, Hashable {
    /// Where a block is read from.
    package enum Tier: String, Sendable, Hashable {
        /// The node's memory.
        case memory
        /// The node's disk.
        case disk
        /// Anywhere else.
        case other
    }

    /// The tier of each block, from the first on.
    package var tiers: [Tier]
    /// What keeps them readable, if anything.
    package var lease: UInt64?

    /// Nothing is held.
    package static let none = BlockMatch(tiers: [], lease: nil)

    package init(tiers: [Tier], lease: UInt64?) {
        self.tiers = tiers
        self.lease = lease
    }
}

/// What became of blocks that were offered.
package struct StoreCount: Sendable, Hashable {
    /// Blocks that the cache took.
    package var stored = 0
    /// Blocks that it had.
    package var existing = 0
    /// Blocks that it does not have.
    package var refused = 0

    package init(stored: Int = 0, existing: Int = 0, refused: Int = 0) {
        self.stored = stored
        self.existing = existing
        self.refused = refused
    }

    static func += (left: inout StoreCount, right: StoreCount) {
        left.stored += right.stored
        left.existing += right.existing
        left.refused += right.refused
    }
}
