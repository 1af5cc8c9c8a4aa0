internal import Blocks
internal import Placement

/// Who is asked for which block, at one time: the view, and which of its members can be reached. Never changes.
final class Routing: Sendable {
    /// The members and their slots.
    let view: ClusterView
    /// This node's place among the members; `nil` before it is one, and after it has left.
    let ownPlace: Int?
    /// For each member how it is reached; `nil` for this node.
    let peers: [Peer?]
    /// Whether the second node of a slot is asked as well: it has copies, or what this node was not handed over.
    let asksReplicas: Bool
    /// For each slot since when its plain keys are this node's, milliseconds since 1970: what is older was replaced, or may
    /// have been, by another owner in between. Empty while this node has owned all of its slots from the start.
    let plainValidSince: [UInt64]

    init(
        view: ClusterView,
        own: NodeName,
        peers: [NodeName: Peer],
        asksReplicas: Bool = false,
        plainValidSince: [UInt64] = []
    ) {
        self.asksReplicas = asksReplicas
        self.plainValidSince = plainValidSince
        self.view = view
        ownPlace = view.members.firstIndex { $0.name == own }
        self.peers = view.members.map { $0.name == own ? nil : peers[$0.name] }
    }

    /// Since when the plain keys of each slot are this node's, when this view follows another: a slot that was not its own
    /// before begins without keys. `isNew` says that other nodes may have owned all of them meanwhile.
    static func plainValidSince(
        _ view: ClusterView,
        own: NodeName,
        after old: Routing,
        placeWasLost: Bool,
        now: UInt64
    ) -> [UInt64] {
        if placeWasLost { return Array(repeating: now, count: Slot.count) }
        // The first view: the node has what its previous run had, unless its place was lost.
        guard !old.view.members.isEmpty, let place = view.members.firstIndex(where: { $0.name == own }) else {
            return old.plainValidSince
        }
        var since = old.plainValidSince
        for slot in UInt16(0)..<UInt16(Slot.count) where view.ownerPlace(of: slot) == place {
            guard old.ownPlace == nil || old.view.ownerPlace(of: slot) != old.ownPlace else { continue }
            if since.isEmpty { since = Array(repeating: 0, count: Slot.count) }
            since[Int(slot)] = now
        }
        return since
    }

    /// The nodes of a slot that matter to this one.
    struct Route {
        /// Whether this node keeps the slot's blocks.
        var isOwner: Bool
        /// The node that keeps them, when that is another and it can be reached.
        var owner: Peer?
        /// The node that has the old ones, when that is a third.
        var holder: Peer?
        /// The node after the owner, when it may have what the owner has not.
        var replica: Peer?

        /// Whom to ask for a block: who has the old ones before who takes the new ones, and who has copies last.
        var asked: [Peer] { [holder, owner, replica].compactMap(\.self) }
    }

    /// Who has to do with the slot of a key. The first node of a slot that can be reached stands in for those before it.
    func route(_ slot: UInt16) -> Route {
        let owner = firstReachable { view.ownerPlace(of: slot, rank: $0) }
        var route = Route(isOwner: owner == nil || owner == ownPlace, owner: owner.flatMap { peers[$0] })
        if asksReplicas { route.replica = replica(of: slot, owner: owner) }
        guard view.isChanging else { return route }
        let holder = firstReachable { view.holderPlace(of: slot, rank: $0) }
        if holder != owner { route.holder = holder.flatMap { peers[$0] } }
        if route.replica === route.holder { route.replica = nil }
        return route
    }

    /// The owner of a slot, when it is another node that is away and this one stands in for it.
    func absentOwner(of slot: UInt16) -> Peer? {
        guard let place = view.ownerPlace(of: slot), place != ownPlace, let peer = peers[place], peer.isDown
        else {
            return nil
        }
        return peer
    }

    /// The first node of a slot beside its owner that can be reached, unless it is this one.
    private func replica(of slot: UInt16, owner: Int?) -> Peer? {
        for rank in 0..<3 {
            guard let place = view.ownerPlace(of: slot, rank: rank) else { return nil }
            if place != owner, let peer = peers[place], !peer.isDown { return peer }
            if place != owner, place == ownPlace { return nil }
        }
        return nil
    }

    private func firstReachable(_ place: (_ rank: Int) -> Int?) -> Int? {
        for rank in 0..<3 {
            guard let place = place(rank) else { return nil }
            if place == ownPlace || peers[place]?.isDown == false { return place }
        }
        return nil
    }
}
