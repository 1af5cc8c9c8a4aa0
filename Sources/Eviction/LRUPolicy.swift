/// Least recently used goes first: one list through an array, 8 bytes a slot.
///
/// Best where the cache is large for its working set; scans and one-time blocks flush it, see S3-FIFO or W-TinyLFU
/// for those.
package struct LRUPolicy: EvictionPolicy {
    /// Neighbours of a listed slot, or the state of one that is not listed.
    private struct Link {
        var newer: UInt32
        var older: UInt32
    }

    private static let unlisted = UInt32.max
    private static let absent = Link(newer: unlisted, older: 0)
    private static let withheld = Link(newer: unlisted, older: 1)
    private static let withheldAndTouched = Link(newer: unlisted, older: 2)

    /// A ring; position 0 stands between the oldest and the newest, slot `n` is at position `n + 1`.
    private var links: [Link]

    /// An empty list.
    package init(slotCount: Int) {
        links = []
        links.reserveCapacity(slotCount + 1)
        links.append(Link(newer: 0, older: 0))
    }

    /// Makes the block the newest.
    package mutating func inserted(_ slot: UInt32, _ traits: BlockTraits) {
        let position = position(of: slot)
        while links.count <= position { links.append(Self.absent) }
        if isListed(position) { detach(position) }
        attachAsNewest(position)
    }

    /// Makes the block the newest; one that is withheld comes back as the newest.
    package mutating func touched(_ slot: UInt32, at place: ChainPlace?) {
        let position = position(of: slot)
        guard position < links.count else { return }
        if isListed(position) {
            detach(position)
            attachAsNewest(position)
        } else if links[position].older == Self.withheld.older {
            links[position] = Self.withheldAndTouched
        }
    }

    /// Forgets the block.
    package mutating func removed(_ slot: UInt32, isEviction: Bool) {
        let position = position(of: slot)
        guard position < links.count else { return }
        if isListed(position) { detach(position) }
        links[position] = Self.absent
    }

    /// The oldest block.
    package mutating func victim() -> UInt32? {
        let oldest = links[0].newer
        return oldest == 0 ? nil : oldest - 1
    }

    /// Takes the block out of the list.
    package mutating func withheld(_ slot: UInt32) {
        let position = position(of: slot)
        guard position < links.count, isListed(position) else { return }
        detach(position)
        links[position] = Self.withheld
    }

    /// Makes the block the oldest again, for that is what it was when it was proposed; the newest if it was touched.
    package mutating func returned(_ slot: UInt32) {
        let position = position(of: slot)
        guard position < links.count, !isListed(position) else { return }
        switch links[position].older {
        case Self.withheld.older: attach(position, newerThan: 0)
        case Self.withheldAndTouched.older: attachAsNewest(position)
        default: return
        }
    }

    private func position(of slot: UInt32) -> Int { Int(slot) + 1 }

    private func isListed(_ position: Int) -> Bool { links[position].newer != Self.unlisted }

    private mutating func attachAsNewest(_ position: Int) {
        attach(position, newerThan: Int(links[0].older))
    }

    /// Puts a position on the newer side of `neighbour`; the ring's position 0 counts as older than all.
    private mutating func attach(_ position: Int, newerThan neighbour: Int) {
        let newer = links[neighbour].newer
        links[position] = Link(newer: newer, older: UInt32(truncatingIfNeeded: neighbour))
        links[neighbour].newer = UInt32(truncatingIfNeeded: position)
        links[Int(newer)].older = UInt32(truncatingIfNeeded: position)
    }

    private mutating func detach(_ position: Int) {
        let link = links[position]
        links[Int(link.older)].newer = link.newer
        links[Int(link.newer)].older = link.older
    }
}
