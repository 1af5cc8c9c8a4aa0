package import Blocks
internal import MemoryTier

/// How a block is put.
package struct PutOptions: Sendable {
    /// Life from now on; wins over `expiresAt`.
    package var timeToLive: Duration?
    /// When the block stops being readable, milliseconds since 1970; 0 is never.
    package var expiresAt: UInt64 = 0
    /// Tokens in the block.
    package var tokenCount: UInt32 = 0
    /// Until when eviction must not take it, milliseconds since 1970; 0 is not pinned.
    package var pinnedUntil: UInt64 = 0
    /// When the block was made, milliseconds since 1970, for one that comes from another node; `nil` for now.
    package var createdAt: UInt64?
    /// Whether other bytes under the same key are replaced (Redis's SET) instead of refused.
    package var replaces = false
    /// Whether a replaced block's expiry is kept (Redis's KEEPTTL).
    package var keepsTimeToLive = false
    /// Whether the put is to be answered only after the block is on disk and synced.
    package var isDurable = false
    /// Whether the put is to be answered only when the node that owns the block has it.
    package var waitsForOwner = false
    /// The key before the block's own in its chain, for who watches the store.
    package var predecessor: [UInt8]?

    /// What the block's owner is asked for, when that is another node.
    var wish: GiftWish { GiftWish(isDurable: isDurable, pinnedUntil: pinnedUntil) }

    /// The defaults: no expiry, first writer wins, write behind.
    package init() {}
}

/// What became of a put.
package enum PutOutcome: Sendable, Equatable {
    /// The block is visible now.
    case stored
    /// The same bytes were there already.
    case exists
    /// Other bytes are held under the key; blocks are immutable, the first writer wins.
    case conflict
    /// The block was deleted after it was made, and is not taken from another node again.
    case deleted
    /// Nothing was stored, and why.
    case refused(CacheError)
}

/// A put's outcome, and for durable puts what to wait for.
package struct PutResult: Sendable {
    /// What became of it.
    package let outcome: PutOutcome
    /// Given when the put asked for durability and was stored or existed.
    package let durability: DurabilityTicket?
}

/// A claim on what is still to happen to one block: that it is written, or that its owner has it.
package struct DurabilityTicket: Sendable {
    let handle: BlockHandle
    let isGift: Bool
    let isDurable: Bool

    static func write(_ handle: BlockHandle) -> DurabilityTicket {
        DurabilityTicket(handle: handle, isGift: false, isDurable: true)
    }
    static func gift(_ handle: BlockHandle, isDurable: Bool) -> DurabilityTicket {
        DurabilityTicket(handle: handle, isGift: true, isDurable: isDurable)
    }
}

extension PutResult {
    /// A put that was turned away before its bytes came.
    package init(refused error: CacheError) {
        outcome = .refused(error)
        durability = nil
    }
}
