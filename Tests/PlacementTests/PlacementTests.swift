import Placement
import TestSupport
import Testing

@Suite("Placement")
struct PlacementTests {
    /// Slots that Redis's own CLUSTER KEYSLOT gives, from its specification and its test suite.
    @Test(
        "slots are those of Redis Cluster",
        arguments: [
            ("123456789", 0x31C3), ("foo", 12_182), ("bar", 5_061), ("{user1000}.following", 3_443),
            ("{user1000}.followers", 3_443), ("foo{{bar}}zap", 4_015), ("", 0),
        ]
    )
    func slots(key: String, slot: Int) {
        #expect(Int(Self.slot(key)) == slot)
    }

    @Test("what a hash tag is: the first braces, if anything stands between them")
    func hashTags() {
        #expect(Self.slot("foo{bar}{zap}") == Self.slot("bar"))
        #expect(Self.slot("foo{}{bar}") != Self.slot("bar"))
        #expect(Self.slot("foo{bar") != Self.slot("bar"))
        #expect(Self.slot("a}b{c}d") == Self.slot("c"))
    }

    @Test("five nodes of one weight: no node owns more than 1.15 of its share of 100,000 keys")
    func balance() {
        let view = ClusterView(epoch: 1, members: Self.members(5))
        let counts = Self.countKeys(100_000, in: view)
        let most = counts.values.max() ?? 0
        #expect(counts.count == 5)
        #expect(Double(most) / 20_000 <= 1.15)
    }

    @Test("a node of three times the weight owns three times as much")
    func weights() {
        var members = Self.members(4)
        members[2].weight = 3
        let view = ClusterView(epoch: 1, members: members)
        let counts = Self.countKeys(100_000, in: view)
        let heavy = Double(counts[members[2].name] ?? 0) / 100_000
        #expect(abs(heavy - 0.5) < 0.03)
    }

    @Test("a node that joins moves at most 1.1 of its share, and only to itself", arguments: 2...8)
    func joining(count: Int) {
        let before = ClusterView(epoch: 1, members: Self.members(count - 1))
        let after = ClusterView(epoch: 2, members: Self.members(count))
        let newcomer = Self.members(count)[count - 1].name
        var movedCount = 0
        for slot in UInt16(0)..<UInt16(Slot.count) {
            guard let old = before.owner(of: slot)?.name, let new = after.owner(of: slot)?.name else {
                Issue.record("slot \(slot) has no owner")
                return
            }
            if old != new {
                movedCount += 1
                #expect(new == newcomer)
            }
        }
        #expect(movedCount > 0)
        #expect(Double(movedCount) <= 1.1 * Double(Slot.count) / Double(count))
    }

    @Test("when a node goes, each of its slots goes to the node that was next in it")
    func leaving() {
        let members = Self.members(5)
        let before = ClusterView(epoch: 1, members: members)
        let after = ClusterView(epoch: 2, members: members.filter { $0.name != members[1].name })
        for slot in UInt16(0)..<UInt16(Slot.count) {
            let owner = before.owner(of: slot)?.name
            let expected = owner == members[1].name ? before.owner(of: slot, rank: 1)?.name : owner
            #expect(after.owner(of: slot)?.name == expected)
        }
    }

    @Test("while a node joins it owns new blocks, and their former owners hold the old ones")
    func joiningState() {
        var members = Self.members(4)
        let settled = ClusterView(epoch: 1, members: Array(members.prefix(3)))
        members[3].state = .joining
        let view = ClusterView(epoch: 2, members: members)
        let full = ClusterView(epoch: 3, members: Self.members(4))
        #expect(view.isChanging)
        for slot in UInt16(0)..<UInt16(Slot.count) {
            #expect(view.owner(of: slot)?.name == full.owner(of: slot)?.name)
            #expect(view.holder(of: slot)?.name == settled.owner(of: slot)?.name)
        }
    }

    @Test("a draining node holds what it had and owns nothing")
    func drainingState() {
        var members = Self.members(4)
        let before = ClusterView(epoch: 1, members: members)
        members[0].state = .draining
        let view = ClusterView(epoch: 2, members: members)
        let after = ClusterView(epoch: 3, members: Array(members.dropFirst()))
        for slot in UInt16(0)..<UInt16(Slot.count) {
            #expect(view.holder(of: slot)?.name == before.owner(of: slot)?.name)
            #expect(view.owner(of: slot)?.name == after.owner(of: slot)?.name)
        }
    }

    @Test(
        "a cluster of nothing but joining nodes, or draining ones, still has an owner and a holder for all slots"
    )
    func extremes() {
        for state in Member.State.allCases {
            let members = Self.members(3).map { member in
                var member = member
                member.state = state
                return member
            }
            let view = ClusterView(epoch: 1, members: members)
            for slot in UInt16(0)..<UInt16(Slot.count) {
                #expect(view.owner(of: slot) != nil)
                #expect(view.holder(of: slot) != nil)
            }
        }
        #expect(ClusterView(epoch: 1, members: []).owner(of: 0) == nil)
    }

    @Test("the order in which members are told does not matter")
    func order() {
        let members = Self.members(7)
        let view = ClusterView(epoch: 1, members: members)
        #expect(ClusterView(epoch: 1, members: members.reversed()) == view)
    }

    @Test(
        "a view made from the one before is the same as one from scratch",
        arguments: 0..<4 as Range<UInt64>
    )
    func following(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        // From few to many: a table from scratch, one that is followed, and the border between the two.
        var members = Self.members(Int.random(in: 0...8, using: &random))
        var view = ClusterView(epoch: 0, members: members)
        for epoch in UInt64(1)...20 {
            for _ in 0..<Int.random(in: 1...3, using: &random) { Self.change(&members, &random) }
            view = ClusterView(epoch: epoch, members: members, after: view)
            let fresh = ClusterView(epoch: epoch, members: members)
            #expect(view.members == fresh.members)
            #expect(view.isPlacedLike(fresh), "seed \(seed), epoch \(epoch)")
        }
    }

    /// A member comes, goes, or changes its weight, its state or its run.
    private static func change(_ members: inout [Member], _ random: inout SeededRandom) {
        let place = members.indices.randomElement(using: &random)
        switch (Int.random(in: 0..<6, using: &random), place) {
        case (0, let place?): members.remove(at: place)
        case (1, let place?): members[place].weight = UInt32.random(in: 1...4, using: &random)
        case (2, let place?):
            members[place].state = Member.State.allCases.randomElement(using: &random) ?? .active
        case (3, let place?): members[place].run = random.next()
        default:
            let name = NodeName("node-\(Int.random(in: 0..<12, using: &random))")
            guard let name, !members.contains(where: { $0.name == name }) else { return }
            members.append(Member(name: name, host: "127.0.0.1", port: 7_379))
        }
    }

    /// A change here would make nodes of two versions disagree: these owners are part of the protocol.
    @Test("owners never change between versions")
    func golden() {
        let view = ClusterView(epoch: 1, members: Self.members(5))
        let owners = stride(from: UInt16(0), to: UInt16(Slot.count), by: 1_365).map { slot in
            view.owner(of: slot)?.name.description ?? ""
        }
        #expect(owners == Self.goldenOwners)
    }

    @Test("a name is a label of 1 to 63 letters, digits, dots, hyphens and underscores")
    func names() {
        #expect(NodeName("larder-0.example_1") != nil)
        for wrong in ["", "a b", "a/b", "ä", String(repeating: "a", count: 64)] {
            #expect(NodeName(wrong) == nil)
        }
    }

    static let goldenOwners = [2, 4, 0, 0, 1, 3, 4, 0, 1, 0, 1, 4, 3].map { "node-\($0)" }

    static func members(_ count: Int) -> [Member] {
        (0..<count).compactMap { index in
            NodeName("node-\(index)").map { Member(name: $0, host: "127.0.0.1", port: UInt16(7_000 + index)) }
        }
    }

    static func slot(_ key: String) -> UInt16 {
        let bytes = Array(key.utf8)
        return unsafe Slot.of(bytes.span.bytes)
    }

    static func countKeys(_ keyCount: Int, in view: ClusterView) -> [NodeName: Int] {
        var counts: [NodeName: Int] = [:]
        for index in 0..<keyCount {
            let bytes = Array("prompt-\(index &* 7_919)".utf8)
            let slot = unsafe Slot.of(bytes.span.bytes)
            if let owner = view.owner(of: slot) { counts[owner.name, default: 0] += 1 }
        }
        return counts
    }
}
