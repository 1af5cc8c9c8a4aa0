/// For each slot the nodes that come first in it: its owner, and who owns it after that one.
struct SlotTable: Hashable, Sendable {
    /// How many nodes of each slot are known: the owner, the next, and the one after that.
    static let depth = 3
    /// Where a slot has fewer nodes than `depth`.
    static let none = UInt16.max

    /// `Slot.count` times `depth` places in the list of members.
    private let ranks: [UInt16]

    /// Ranks those of `members` that `isWanted`; a place in the table is a place in `members`.
    init(_ members: [Member], where isWanted: (Member) -> Bool) {
        let seeds = members.map { RendezvousScore.seed($0.name) }
        let wanted = members.indices.prefix(Int(Self.none)).filter { isWanted(members[$0]) }
        var ranks = [UInt16](repeating: Self.none, count: Slot.count * Self.depth)
        var best = [(score: Double, place: UInt16)]()
        for slot in 0..<Slot.count {
            best.removeAll(keepingCapacity: true)
            for place in wanted {
                let score = RendezvousScore.of(seed: seeds[place], weight: members[place].weight, slot: slot)
                // Members are in the order of their names: of equal scores the first name wins, everywhere.
                let rank = best.firstIndex { score > $0.score } ?? best.count
                guard rank < Self.depth else { continue }
                best.insert((score, UInt16(place)), at: rank)
                if best.count > Self.depth { best.removeLast() }
            }
            for (rank, node) in best.enumerated() { ranks[slot * Self.depth + rank] = node.place }
        }
        self.ranks = ranks
    }

    /// The place of the node of a rank, 0 for the owner; `nil` when there are not so many.
    func place(slot: UInt16, rank: Int) -> Int? {
        let index = Int(slot) * Self.depth + rank
        guard rank < Self.depth, ranks.indices.contains(index), ranks[index] != Self.none else { return nil }
        return Int(ranks[index])
    }
}
