/// One thing that routers are told.
package enum KVEvent: Hashable, Sendable {
    /// Blocks can be read; each follows the one before it in its chain.
    case stored(Stored)
    /// Blocks have left a medium.
    case removed(Removed)
    /// Nothing that was announced before under this topic counts any more.
    case allCleared

    /// Blocks of one chain that became readable.
    package struct Stored: Hashable, Sendable {
        /// The blocks' hashes, in the chain's order.
        package var hashes: [EventHash]
        /// The hash of the block before the first, if that is known.
        package let parent: EventHash?
        /// Tokens of each block; 0 when nobody said.
        package let tokenCount: Int
        /// Where they lie; a single medium.
        package let medium: EventMediums
        /// Their KV group.
        package let group: UInt32?

        /// Wraps what is known.
        package init(
            hashes: [EventHash],
            parent: EventHash?,
            tokenCount: Int,
            medium: EventMediums,
            group: UInt32?
        ) {
            self.hashes = hashes
            self.parent = parent
            self.tokenCount = tokenCount
            self.medium = medium
            self.group = group
        }
    }

    /// Blocks that left.
    package struct Removed: Hashable, Sendable {
        /// The blocks' hashes, in no order.
        package var hashes: [EventHash]
        /// What they left; a single medium.
        package let medium: EventMediums
        /// Their KV group.
        package let group: UInt32?

        /// Wraps what is known.
        package init(hashes: [EventHash], medium: EventMediums, group: UInt32?) {
            self.hashes = hashes
            self.medium = medium
            self.group = group
        }
    }
}
