/// A few ordered lists of slots through one array, 8 bytes a slot; a slot is in one of them at most.
struct SlotRings {
    private struct Link {
        var newer: UInt32
        var older: UInt32
    }

    private static let unlisted = Link(newer: .max, older: .max)

    /// Ring `r`'s own position `r` stands between its oldest and its newest; slot `n` is at `n + ringCount`.
    private var links: [Link]
    private let ringCount: Int

    /// `ringCount` empty rings.
    init(ringCount: Int, slotCount: Int) {
        self.ringCount = ringCount
        links = []
        links.reserveCapacity(slotCount + ringCount)
        for ring in 0..<ringCount {
            let position = UInt32(truncatingIfNeeded: ring)
            links.append(Link(newer: position, older: position))
        }
    }

    /// Whether a ring has the slot.
    func contains(_ slot: UInt32) -> Bool {
        let position = position(of: slot)
        return position < links.count && links[position].newer != .max
    }

    /// The ring's oldest slot.
    func oldest(of ring: Int) -> UInt32? { slot(at: links[ring].newer) }

    /// The next newer slot of the same ring; `nil` after the newest, and for a slot in no ring.
    func newer(than slot: UInt32) -> UInt32? {
        contains(slot) ? self.slot(at: links[position(of: slot)].newer) : nil
    }

    /// Puts a slot that is in no ring at the newest end.
    mutating func appendNewest(_ slot: UInt32, to ring: Int) {
        attach(slot, newerThan: Int(links[ring].older))
    }

    /// Puts a slot that is in no ring at the oldest end.
    mutating func appendOldest(_ slot: UInt32, to ring: Int) {
        attach(slot, newerThan: ring)
    }

    /// Takes the slot out of its ring, if it is in one.
    mutating func remove(_ slot: UInt32) {
        guard contains(slot) else { return }
        let position = position(of: slot)
        let link = links[position]
        links[Int(link.older)].newer = link.newer
        links[Int(link.newer)].older = link.older
        links[position] = Self.unlisted
    }

    private func position(of slot: UInt32) -> Int { Int(slot) + ringCount }

    private func slot(at position: UInt32) -> UInt32? {
        position < ringCount ? nil : position - UInt32(truncatingIfNeeded: ringCount)
    }

    private mutating func attach(_ slot: UInt32, newerThan neighbour: Int) {
        let position = position(of: slot)
        while links.count <= position { links.append(Self.unlisted) }
        let newer = links[neighbour].newer
        links[position] = Link(newer: newer, older: UInt32(truncatingIfNeeded: neighbour))
        links[neighbour].newer = UInt32(truncatingIfNeeded: position)
        links[Int(newer)].older = UInt32(truncatingIfNeeded: position)
    }
}
