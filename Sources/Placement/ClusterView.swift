/// Who is in the cluster, as one node knows it at one time, and who owns what.
///
/// Two tables follow from the members' states alone, so nodes with the same members agree without talking:
/// *owners* take new blocks (joining and active nodes), *holders* have the old ones (active and draining nodes). They
/// differ only while a node joins or drains; then the holder of a slot is asked before its owner.
public struct ClusterView: Hashable, Sendable {
    /// Grows with each change; only views of one node are compared by it.
    public private(set) var epoch: UInt64
    /// All members, in the order of their names.
    public let members: [Member]

    private let owners: SlotTable
    private let holders: SlotTable

    /// Most members of a view.
    public static let memberCountMax = 4_096

    /// Makes a view of members, of which those beyond the limit, in the order of names, are left out.
    ///
    /// - Parameter former: a view to begin with, of whichever members; it saves time and changes nothing else.
    public init(epoch: UInt64, members: [Member], after former: ClusterView? = nil) {
        let sorted = Self.listed(members)
        self.epoch = epoch
        self.members = sorted
        let areAllActive = sorted.allSatisfy { $0.state == .active }
        let hasOwner = sorted.contains { $0.state != .draining }
        let hasHolder = sorted.contains { $0.state != .joining }
        // Of nothing but joining nodes each is a holder: a cluster that starts. Of nothing but draining ones, an owner.
        owners = SlotTable(sorted, after: former?.owners) { !hasOwner || $0.state != .draining }
        holders =
            areAllActive
            ? owners : SlotTable(sorted, after: former?.holders) { !hasHolder || $0.state != .joining }
    }

    /// Members as a view lists them: in the order of their names, those beyond the limit left out.
    public static func listed(_ members: [Member]) -> [Member] {
        Array(members.sorted { $0.name < $1.name }.prefix(memberCountMax))
    }

    /// The same view under another epoch.
    public func at(epoch: UInt64) -> ClusterView {
        var view = self
        view.epoch = epoch
        return view
    }

    /// The node that takes new blocks of a slot; rank 1 and 2 are those that would follow it.
    public func owner(of slot: UInt16, rank: Int = 0) -> Member? {
        member(at: owners.place(slot: slot, rank: rank))
    }

    /// The node that has the old blocks of a slot; mostly its owner.
    public func holder(of slot: UInt16, rank: Int = 0) -> Member? {
        member(at: holders.place(slot: slot, rank: rank))
    }

    /// The place in `members` of the owner of a slot.
    public func ownerPlace(of slot: UInt16, rank: Int = 0) -> Int? { owners.place(slot: slot, rank: rank) }

    /// The place in `members` of the holder of a slot.
    public func holderPlace(of slot: UInt16, rank: Int = 0) -> Int? { holders.place(slot: slot, rank: rank) }

    /// Whether a node joins or drains: owners and holders may differ.
    public var isChanging: Bool { members.contains { $0.state != .active } }

    /// The member of a name.
    public func member(_ name: NodeName) -> Member? {
        members.first { $0.name == name }
    }

    /// The same view with other states or weights of members is another table; a new epoch alone is not.
    public func isPlacedLike(_ other: ClusterView) -> Bool {
        owners == other.owners && holders == other.holders
            && members.map(\.name) == other.members.map(\.name)
    }

    private func member(at place: Int?) -> Member? {
        place.flatMap { members.indices.contains($0) ? members[$0] : nil }
    }
}
