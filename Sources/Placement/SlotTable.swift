/// For each slot the nodes that come first in it: its owner, and who owns it after that one.
///
/// A table is computed from scratch, or from the table before it: then only the slots are looked at in which a node that
/// has gone was ranked, and each node that has come is scored once per slot. Both ways give the same table.
struct SlotTable: Sendable {
    /// How many nodes of each slot are known: the owner, the next, and the one after that.
    static let depth = 3
    /// Where a slot has fewer nodes than `depth`.
    static let none = UInt16.max

    /// What of a member decides about its slots; `nil` for a member that the table leaves out.
    private struct Node: Hashable, Sendable {
        let seed: UInt64
        let name: NodeName
        let weight: UInt32
    }

    /// One place of a slot's ranking.
    private struct Entry {
        let score: Double
        let place: UInt16

        /// Members are in the order of their names: of equal scores the first name wins, everywhere.
        func isBefore(_ other: Entry) -> Bool {
            score > other.score || score == other.score && place < other.place
        }
    }

    /// The members, in the order of their places.
    private var nodes: [Node?]
    /// `Slot.count` times `depth` places in the list of members.
    private var ranks: [UInt16]
    /// The score of each place in `ranks`.
    private var scores: [Double]

    /// Ranks those of `members` that `isWanted`; a place in the table is a place in `members`.
    ///
    /// - Parameter former: a table to begin with, of whichever members; it saves time and changes nothing else.
    init(_ members: [Member], after former: SlotTable? = nil, where isWanted: (Member) -> Bool) {
        nodes = members.prefix(Int(Self.none)).map { member in
            guard isWanted(member) else { return nil }
            return Node(seed: RendezvousScore.seed(member.name), name: member.name, weight: member.weight)
        }
        if let former, former.nodes == nodes {
            (ranks, scores) = (former.ranks, former.scores)
            return
        }
        ranks = [UInt16](repeating: Self.none, count: Slot.count * Self.depth)
        scores = [Double](repeating: 0, count: Slot.count * Self.depth)
        guard let former, let plan = Plan(from: former.nodes, to: nodes) else {
            let wanted = Self.wanted(nodes)
            for slot in 0..<Slot.count { rank(slot, wanted) }
            return
        }
        follow(former, plan)
    }

    /// The place of the node of a rank, 0 for the owner; `nil` when there are not so many.
    func place(slot: UInt16, rank: Int) -> Int? {
        let index = Int(slot) * Self.depth + rank
        guard rank < Self.depth, ranks.indices.contains(index), ranks[index] != Self.none else { return nil }
        return Int(ranks[index])
    }

    // MARK: From scratch

    private typealias Ranked = (place: UInt16, node: Node)

    private static func wanted(_ nodes: [Node?]) -> [Ranked] {
        nodes.enumerated().compactMap { place, node in node.map { (UInt16(truncatingIfNeeded: place), $0) } }
    }

    private mutating func rank(_ slot: Int, _ wanted: [Ranked]) {
        let first = slot * Self.depth
        for rank in first..<first + Self.depth { ranks[rank] = Self.none }
        for one in wanted { insert(one, slot) }
    }

    /// Puts a node where it belongs among those of a slot, if it belongs there.
    private mutating func insert(_ one: Ranked, _ slot: Int) {
        let first = slot * Self.depth
        let score = RendezvousScore.of(seed: one.node.seed, weight: one.node.weight, slot: slot)
        var entry = Entry(score: score, place: one.place)
        for rank in first..<first + Self.depth {
            let known = Entry(score: scores[rank], place: ranks[rank])
            guard known.place == Self.none || entry.isBefore(known) else { continue }
            (ranks[rank], scores[rank]) = (entry.place, entry.score)
            guard known.place != Self.none else { return }
            entry = known
        }
    }

    // MARK: From the table before

    /// What becomes of the nodes of the table before.
    private struct Plan {
        /// For each former place the new one; `none` for a node that has gone or changed.
        var newPlaces: [UInt16]
        /// Nodes that have come or changed.
        var added: [Ranked]

        /// `nil` when so much has changed that a table from scratch is not slower.
        init?(from former: [Node?], to nodes: [Node?]) {
            var places: [NodeName: UInt16] = [:]
            for one in SlotTable.wanted(nodes) { places[one.node.name] = one.place }
            newPlaces = former.map { node in
                guard let node, let place = places[node.name], nodes[Int(place)] == node else {
                    return SlotTable.none
                }
                return place
            }
            let kept = Set(newPlaces)
            added = SlotTable.wanted(nodes).filter { !kept.contains($0.place) }
            let gone = zip(former, newPlaces).count { $0 != nil && $1 == SlotTable.none }
            guard added.count + SlotTable.depth * gone < places.count else { return nil }
        }
    }

    private mutating func follow(_ former: SlotTable, _ plan: Plan) {
        let wanted = Self.wanted(nodes)
        for slot in 0..<Slot.count {
            let first = slot * Self.depth
            var hasLost = false
            for rank in first..<first + Self.depth where former.ranks[rank] != Self.none {
                let place = plan.newPlaces[Int(former.ranks[rank])]
                (ranks[rank], scores[rank]) = (place, former.scores[rank])
                if place == Self.none { hasLost = true }
            }
            if hasLost {
                rank(slot, wanted)
            } else {
                for one in plan.added { insert(one, slot) }
            }
        }
    }
}

extension SlotTable: Hashable {
    /// Tables are equal when they rank the same places.
    static func == (one: SlotTable, other: SlotTable) -> Bool { one.ranks == other.ranks }

    func hash(into hasher: inout Hasher) { hasher.combine(ranks) }
}
