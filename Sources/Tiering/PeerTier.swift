package import Blocks
package import MemoryTier

/// The other nodes of a cluster, as the store sees them: where blocks may be that this node does not have, and where
/// those belong that it is given and does not own.
///
/// Nothing here blocks. What is asked of another node is answered on any thread, by a deadline at the latest: a node
/// that is away is a miss.
package protocol PeerTier: AnyObject, Sendable {
    /// Whether what this node holds may be served: not while it may have missed deletions, after it was away.
    var mayServeHeld: Bool { get }

    /// What this node has to do with the block of a key.
    func role(of key: RawSpan) -> PeerRole

    /// Which of some keys other nodes hold, with leases there if wanted; one round trip to each.
    func match(
        _ space: KeySpace,
        keys: KeyBatch,
        lease: Duration?,
        prefetches: Bool,
        _ completion: @escaping @Sendable (PeerMatch) -> Void
    )

    /// Fetches blocks from the nodes that may hold them, telling `receiver` of each key once that it arrived or missed.
    func fetch(_ space: KeySpace, keys: KeyBatch, into receiver: any PeerReceiver)

    /// Gives a block to its owner.
    func give(
        _ lease: BlockLease,
        key: [UInt8],
        in space: KeySpace,
        _ wish: GiftWish,
        _ completion: @escaping @Sendable (GiftOutcome) -> Void
    )

    /// Ends leases that were taken on other nodes; they would end by themselves.
    func release(_ leases: [PeerLease])
}

/// What a node has to do with a block.
package struct PeerRole: Hashable, Sendable {
    /// Whether this node is the one that keeps it.
    package let isOwner: Bool
    /// Whether another node may hold it when this one does not.
    package let mayBeElsewhere: Bool

    /// Describes a role.
    package init(isOwner: Bool, mayBeElsewhere: Bool) {
        self.isOwner = isOwner
        self.mayBeElsewhere = mayBeElsewhere
    }

    /// A node that is alone.
    package static let alone = PeerRole(isOwner: true, mayBeElsewhere: false)
}

/// Where fetched blocks go. Called on any thread, for each key in turn: first its region, then that it arrived.
package protocol PeerReceiver: AnyObject, Sendable {
    /// Memory for the payload of the key at `index`, or `nil` to do without. Written until the next call for this key.
    func region(at index: Int, byteCount: Int) -> UnsafeMutableRawBufferPointer?
    /// The whole payload is in its region.
    func arrived(_ index: Int, _ summary: BlockSummary)
    /// There will be no payload; nothing writes to the key's region any more.
    func missed(_ index: Int)
}

/// What a block's owner is asked to do with it.
package struct GiftWish: Hashable, Sendable {
    /// Whether it is to be on disk before the owner answers.
    package var isDurable: Bool
    /// Until when it is to be kept from eviction, milliseconds since 1970; 0 for what the block says itself.
    package var pinnedUntil: UInt64

    /// What a plain put wants.
    package init(isDurable: Bool = false, pinnedUntil: UInt64 = 0) {
        self.isDurable = isDurable
        self.pinnedUntil = pinnedUntil
    }

    /// Adds what another put of the same block wants.
    mutating func formUnion(_ other: GiftWish) {
        isDurable = isDurable || other.isDurable
        pinnedUntil = max(pinnedUntil, other.pinnedUntil)
    }

    /// Whether whoever agreed to this has agreed to `other` too.
    func covers(_ other: GiftWish) -> Bool {
        (isDurable || !other.isDurable) && pinnedUntil >= other.pinnedUntil
    }
}

/// What became of a block that was given to its owner.
package enum GiftOutcome: Sendable, Equatable {
    /// The owner has it.
    case taken
    /// The owner holds other bytes under its key.
    case conflict
    /// The block was deleted after it was made: the owner refuses it, and no node is to keep it.
    case deleted
    /// The owner did not take it, and may later.
    case failed(CacheError)
    /// This node is its owner by now.
    case own
}

/// What other nodes hold of some keys.
package struct PeerMatch: Sendable {
    /// For each key whether a node has it.
    package var isHeld: [Bool]
    /// The leases that keep them readable there.
    package var leases: [PeerLease]

    /// Describes what is held.
    package init(isHeld: [Bool], leases: [PeerLease] = []) {
        self.isHeld = isHeld
        self.leases = leases
    }
}

/// A lease that another node gave.
package struct PeerLease: Hashable, Sendable {
    /// The node's name.
    package let node: String
    /// Its number there.
    package let id: UInt64

    /// Names a lease.
    package init(node: String, id: UInt64) {
        self.node = node
        self.id = id
    }
}
