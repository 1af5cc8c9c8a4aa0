package import Blocks

/// A change that was answered to a client, and that the disk has in memory only.
package struct PendingChange: Hashable, Sendable {
    /// What was changed.
    package enum Kind: Hashable, Sendable {
        /// The copy of one block was taken away.
        case removal(BlockIdentity)
        /// The copies of a whole space were taken away.
        case clear(KeyPrefix)
        /// A copy was given other times.
        case times(BlockIdentity, expiresAt: UInt64, pinnedUntil: UInt64)
    }

    /// What was changed.
    package let kind: Kind
    /// Which copies that concerns: those that the disk wrote before this place in its log.
    package let bound: UInt64

    /// Describes a change.
    package init(_ kind: Kind, before bound: UInt64) {
        self.kind = kind
        self.bound = bound
    }
}
