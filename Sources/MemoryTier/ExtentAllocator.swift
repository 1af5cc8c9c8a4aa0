/// Gives out extents of an arena in constant time, by two-level segregated fit.
///
/// After Masmano, Ripoll, Crespo and Real, "TLSF: a new dynamic memory allocator for real-time systems" (2004).
/// Freed extents join their free neighbours at once. All records are outside the arena, in one array that grows
/// to the largest number of extents there ever was and recycles its places.
package struct ExtentAllocator: ~Copyable {
    /// Granules of the arena that are given out; grows only.
    package private(set) var granuleCount: Int
    /// Granules that nobody holds.
    package private(set) var freeGranuleCount: Int
    /// Extents that somebody holds.
    package private(set) var extentCount = 0

    private var nodes: [ExtentNode] = []
    private var firstVacantNode = ExtentNode.none
    /// The extent at address 0 never changes its record: it is split and joined at its end only.
    private var firstNode: UInt32 = 0
    /// The extent that ends where the arena does.
    private var lastNode: UInt32 = 0
    /// Where the search for a region to clear goes on: at the last hole made, or where the search before ended.
    private var rover: UInt32 = 0

    private var heads: [UInt32]
    private var levels: UInt64 = 0
    private var steps: [UInt32]

    /// How many extents of the fitting class are tried before a larger class is split.
    ///
    /// One size of block fills most arenas, and its own freed extents fit exactly; a larger class alone would never
    /// find them.
    private static let exactClassTryCount = 8

    /// One free extent of `granuleCount` granules (1 to 2^38).
    ///
    /// `extentCountMax` is the most extents held at once; address space, not memory, is set aside for them.
    package init(granuleCount: Int, extentCountMax: Int) {
        precondition((1...(1 << 38)).contains(granuleCount))
        self.granuleCount = granuleCount
        freeGranuleCount = granuleCount
        heads = [UInt32](
            repeating: ExtentNode.none,
            count: ExtentSizeClass.levelCount * ExtentSizeClass.stepCount
        )
        steps = [UInt32](repeating: 0, count: ExtentSizeClass.levelCount)
        nodes.reserveCapacity(extentCountMax + extentCountMax / 2 + 2)
        nodes.append(ExtentNode(firstGranule: 0, previous: ExtentNode.none, next: ExtentNode.none))
        enlist(0)
    }

    /// Takes up the extents that an earlier allocator had given out, under the numbers that their records had.
    ///
    /// `held` is in the order of addresses, without overlaps, inside `granuleCount`, each record's number once.
    package init(granuleCount: Int, extentCountMax: Int, held: [Extent]) {
        self.init(granuleCount: granuleCount, extentCountMax: extentCountMax)
        guard let highest = held.map(\.node).max() else { return }
        delist(0)
        let vacant = ExtentNode(firstGranule: 0, previous: ExtentNode.none, next: ExtentNode.none)
        nodes = [ExtentNode](repeating: vacant, count: Int(highest) + 1)
        nodes.reserveCapacity(extentCountMax + extentCountMax / 2 + 2)
        for extent in held { nodes[Int(extent.node)].previous = extent.node }
        for number in nodes.indices.reversed() where nodes[number].previous == ExtentNode.none {
            nodes[number].isFree = true
            nodes[number].next = firstVacantNode
            firstVacantNode = UInt32(truncatingIfNeeded: number)
        }
        chain(held)
    }

    private mutating func chain(_ held: [Extent]) {
        var gaps: [UInt32] = []
        var end = 0
        lastNode = ExtentNode.none
        func append(_ node: UInt32, at firstGranule: Int, to allocator: inout ExtentAllocator) {
            let previous = allocator.lastNode
            allocator.nodes[Int(node)] = ExtentNode(
                firstGranule: firstGranule,
                previous: previous,
                next: ExtentNode.none
            )
            if previous == ExtentNode.none {
                allocator.firstNode = node
            } else {
                allocator.nodes[Int(previous)].next = node
            }
            allocator.lastNode = node
        }
        func appendGap(upTo granule: Int, to allocator: inout ExtentAllocator) {
            precondition(granule >= end, "held extents are in order and do not overlap")
            guard granule > end else { return }
            let node = allocator.takeNode(
                ExtentNode(firstGranule: end, previous: ExtentNode.none, next: ExtentNode.none)
            )
            append(node, at: end, to: &allocator)
            gaps.append(node)
        }
        for extent in held {
            appendGap(upTo: extent.firstGranule, to: &self)
            append(extent.node, at: extent.firstGranule, to: &self)
            end = extent.firstGranule + extent.granuleCount
            freeGranuleCount -= extent.granuleCount
            extentCount += 1
        }
        appendGap(upTo: granuleCount, to: &self)
        for gap in gaps { enlist(gap) }
        rover = firstNode
    }

    /// Gives out more of the arena, up to `granuleCount` granules; less than before changes nothing.
    package mutating func grow(to granuleCount: Int) {
        let added = granuleCount - self.granuleCount
        guard added > 0, granuleCount <= 1 << 38 else { return }
        let oldEnd = self.granuleCount
        freeGranuleCount += added
        if nodes[Int(lastNode)].isFree {
            delist(lastNode)
            self.granuleCount = granuleCount
            enlist(lastNode)
        } else {
            self.granuleCount = granuleCount
            let node = takeNode(
                ExtentNode(firstGranule: oldEnd, previous: lastNode, next: ExtentNode.none)
            )
            nodes[Int(lastNode)].next = node
            lastNode = node
            enlist(node)
        }
    }

    /// Takes an extent of exactly `granuleCount` granules; `nil` when no free extent is long enough, or, rarely,
    /// when one is that stands behind eight shorter ones of its class.
    package mutating func allocate(granuleCount: Int) -> Extent? {
        guard granuleCount > 0, granuleCount <= freeGranuleCount, let node = fitting(granuleCount) else {
            return nil
        }
        delist(node)
        split(node, at: granuleCount)
        nodes[Int(node)].isFree = false
        nodes[Int(node)].owner = ExtentNode.none
        freeGranuleCount -= granuleCount
        extentCount += 1
        return Extent(node: node, firstGranule: nodes[Int(node)].firstGranule, granuleCount: granuleCount)
    }

    /// Gives an extent back and joins it with its free neighbours.
    package mutating func free(_ node: UInt32) {
        precondition(!nodes[Int(node)].isFree, "an extent is given back once")
        freeGranuleCount += length(of: node)
        extentCount -= 1
        let next = nodes[Int(node)].next
        if next != ExtentNode.none, nodes[Int(next)].isFree {
            delist(next)
            absorbNext(node)
        }
        let previous = nodes[Int(node)].previous
        if previous != ExtentNode.none, nodes[Int(previous)].isFree {
            delist(previous)
            absorbNext(previous)
            enlist(previous)
            rover = previous
        } else {
            enlist(node)
            rover = node
        }
    }

    /// Says which slot holds an extent, so that `region` can name it.
    package mutating func setOwner(_ slot: UInt32, of node: UInt32) {
        nodes[Int(node)].owner = slot
    }

    /// Granules of a free extent as large as any but for one class's width; the largest, when few are that large.
    package var largestFreeGranuleCount: Int {
        guard let top = highestClass else { return 0 }
        var largest = 0
        var node = heads[top]
        for _ in 0..<64 where node != ExtentNode.none {
            largest = max(largest, length(of: node))
            node = nodes[Int(node)].nextFree
        }
        return largest
    }

    /// Records that exist, for figures of overhead.
    package var nodeCount: Int { nodes.count }

    // MARK: Regions

    /// One held extent of a region.
    package struct Holder: Hashable, Sendable {
        /// Who holds it.
        package let slot: UInt32
        /// The allocator's record of it.
        package let node: UInt32
    }

    /// Finds the next run of free and owned extents that is long enough and has no reservation in it.
    ///
    /// Goes in address order and round the end, and looks at no more than `nodeCountMax` extents. Returns the
    /// holders to evict, lowest address first; `nil` when there is no such run.
    package mutating func region(granuleCount: Int, nodeCountMax: Int) -> [Holder]? {
        var holders: [Holder] = []
        var first = rover
        var node = rover
        var length = 0
        for _ in 0..<nodeCountMax {
            let record = nodes[Int(node)]
            let isReservation = !record.isFree && record.owner == ExtentNode.none
            if isReservation {
                holders.removeAll(keepingCapacity: true)
                length = 0
            } else {
                if length == 0 { first = node }
                if !record.isFree { holders.append(Holder(slot: record.owner, node: node)) }
                length += self.length(of: node)
                if length >= granuleCount {
                    rover = first
                    return holders
                }
            }
            if record.next == ExtentNode.none {
                holders.removeAll(keepingCapacity: true)
                length = 0
                node = firstNode
            } else {
                node = record.next
            }
        }
        rover = node
        return nil
    }

    /// Lets the next `region` begin behind an extent that cannot be cleared.
    package mutating func passOver(_ holder: Holder) {
        let record = nodes[Int(holder.node)]
        guard !record.isFree, record.owner == holder.slot else { return }
        let next = record.next
        rover = next == ExtentNode.none ? firstNode : next
    }

    // MARK: Free lists

    private func fitting(_ granuleCount: Int) -> UInt32? {
        let own = ExtentSizeClass.of(granuleCount)
        var node = heads[own]
        var best: (node: UInt32, length: Int)?
        for _ in 0..<Self.exactClassTryCount where node != ExtentNode.none {
            let length = length(of: node)
            if length == granuleCount { return node }
            if length > granuleCount, length < best?.length ?? .max { best = (node, length) }
            node = nodes[Int(node)].nextFree
        }
        if let best { return best.node }
        return lowestClass(from: own + 1).map { heads[$0] }
    }

    private func lowestClass(from sizeClass: Int) -> Int? {
        let level = sizeClass / ExtentSizeClass.stepCount
        guard level < ExtentSizeClass.levelCount else { return nil }
        let same = steps[level] & (UInt32.max << UInt32(sizeClass % ExtentSizeClass.stepCount))
        if same != 0 { return level * ExtentSizeClass.stepCount + same.trailingZeroBitCount }
        let higher = levels & (UInt64.max << UInt64(level + 1))
        guard higher != 0 else { return nil }
        let found = higher.trailingZeroBitCount
        return found * ExtentSizeClass.stepCount + steps[found].trailingZeroBitCount
    }

    private var highestClass: Int? {
        guard levels != 0 else { return nil }
        let level = UInt64.bitWidth - 1 - levels.leadingZeroBitCount
        return level * ExtentSizeClass.stepCount + UInt32.bitWidth - 1 - steps[level].leadingZeroBitCount
    }

    private mutating func enlist(_ node: UInt32) {
        let sizeClass = ExtentSizeClass.of(length(of: node))
        let head = heads[sizeClass]
        nodes[Int(node)].isFree = true
        nodes[Int(node)].previousFree = ExtentNode.none
        nodes[Int(node)].nextFree = head
        if head != ExtentNode.none { nodes[Int(head)].previousFree = node }
        heads[sizeClass] = node
        let level = sizeClass / ExtentSizeClass.stepCount
        steps[level] |= 1 << UInt32(sizeClass % ExtentSizeClass.stepCount)
        levels |= 1 << UInt64(level)
    }

    private mutating func delist(_ node: UInt32) {
        let record = nodes[Int(node)]
        if record.nextFree != ExtentNode.none {
            nodes[Int(record.nextFree)].previousFree = record.previousFree
        }
        if record.previousFree != ExtentNode.none {
            nodes[Int(record.previousFree)].nextFree = record.nextFree
            return
        }
        let sizeClass = ExtentSizeClass.of(length(of: node))
        heads[sizeClass] = record.nextFree
        guard record.nextFree == ExtentNode.none else { return }
        let level = sizeClass / ExtentSizeClass.stepCount
        steps[level] &= ~(1 << UInt32(sizeClass % ExtentSizeClass.stepCount))
        if steps[level] == 0 { levels &= ~(1 << UInt64(level)) }
    }

    // MARK: The chain in address order

    private func length(of node: UInt32) -> Int {
        let record = nodes[Int(node)]
        let end = record.next == ExtentNode.none ? granuleCount : nodes[Int(record.next)].firstGranule
        return end - record.firstGranule
    }

    /// Keeps the low part and makes the rest a free extent of its own.
    private mutating func split(_ node: UInt32, at granuleCount: Int) {
        guard length(of: node) > granuleCount else { return }
        let next = nodes[Int(node)].next
        let rest = takeNode(
            ExtentNode(
                firstGranule: nodes[Int(node)].firstGranule + granuleCount,
                previous: node,
                next: next
            )
        )
        nodes[Int(node)].next = rest
        if next != ExtentNode.none { nodes[Int(next)].previous = rest } else { lastNode = rest }
        enlist(rest)
    }

    private mutating func absorbNext(_ node: UInt32) {
        let absorbed = nodes[Int(node)].next
        let next = nodes[Int(absorbed)].next
        nodes[Int(node)].next = next
        if next != ExtentNode.none { nodes[Int(next)].previous = node } else { lastNode = node }
        nodes[Int(absorbed)].next = firstVacantNode
        // A vacant record counts as free, so that giving back a stale one is noticed.
        nodes[Int(absorbed)].isFree = true
        firstVacantNode = absorbed
    }

    private mutating func takeNode(_ record: ExtentNode) -> UInt32 {
        let node = firstVacantNode
        guard node != ExtentNode.none else {
            nodes.append(record)
            return UInt32(truncatingIfNeeded: nodes.count - 1)
        }
        firstVacantNode = nodes[Int(node)].next
        nodes[Int(node)] = record
        return node
    }
}
