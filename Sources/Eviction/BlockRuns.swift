/// Held blocks in runs: neighbours in one request that are forecast alike, in lists by forecast, oldest run first.
///
/// A run gives up its deepest block first, and only after the deeper runs of its request: without its parents a
/// block is worth nothing. A run whose blocks are all withheld leaves its list until one returns.
struct BlockRuns {
    /// One run.
    struct Run {
        /// Deepest and shallowest eligible block.
        var deepestSlot = none
        var shallowestSlot = none
        /// Neighbours in the list.
        var older = none
        var newer = none
        /// Neighbours in the request.
        var deeper = none
        var shallower = none
        /// When the request used its blocks.
        var time: UInt32 = 0
        /// The request's number, if `hasRequest`; runs of plain uses have none, and no neighbours.
        var request: UInt32 = 0
        /// No eligible block stands deeper than this.
        var deepestPosition: UInt32 = 0
        /// Blocks that belong here when they return.
        var withheldCount: UInt32 = 0
        var list: UInt8 = 0
        var hasRequest = false
    }

    /// Where a slot belongs.
    private struct Link {
        var deeper = none
        var shallower = none
        var run = none
        var isWithheld = false
    }

    static let none = UInt32.max
    /// Steps that a returning run takes at most to find its place in its list.
    private static let placingStepCountMax = 8
    /// Runs of one request that are looked at for its deepest block; most requests have a few.
    private static let deeperStepCountMax = 64

    private var links: [Link] = []
    private var runs: [Run] = []
    private var firstFree = none
    private var oldest: [UInt32]
    private var newest: [UInt32]
    /// The lists that are not empty, as bits.
    private(set) var occupiedLists: UInt64 = 0

    /// At most 64 empty lists.
    init(listCount: Int, slotCount: Int) {
        precondition(listCount <= 64, "lists are counted in the bits of a word")
        oldest = [UInt32](repeating: Self.none, count: listCount)
        newest = oldest
        links.reserveCapacity(slotCount)
    }

    /// Bytes of runs and links that are in use.
    var byteCount: Int { runs.count * MemoryLayout<Run>.stride + links.count * MemoryLayout<Link>.stride }

    // MARK: Asking

    /// The run of a slot, `nil` when the slot is in none.
    func run(of slot: UInt32) -> UInt32? {
        guard Int(slot) < links.count, links[Int(slot)].run != Self.none else { return nil }
        return links[Int(slot)].run
    }

    /// Whether the slot's block may not go.
    func isWithheld(_ slot: UInt32) -> Bool { Int(slot) < links.count && links[Int(slot)].isWithheld }

    /// A run by its number.
    subscript(run: UInt32) -> Run { runs[Int(run)] }

    /// The list's oldest run; the list must not be empty.
    func oldestRun(ofList list: Int) -> UInt32 { oldest[list] }

    /// The list's newest run; the list must not be empty.
    func newestRun(ofList list: Int) -> UInt32 { newest[list] }

    /// The deepest eligible block of the request that a listed run belongs to.
    func deepestSlot(from run: UInt32) -> UInt32 {
        var slot = runs[Int(run)].deepestSlot
        var next = runs[Int(run)].deeper
        for _ in 0..<Self.deeperStepCountMax where next != Self.none {
            if runs[Int(next)].deepestSlot != Self.none { slot = runs[Int(next)].deepestSlot }
            next = runs[Int(next)].deeper
        }
        return slot
    }

    // MARK: Changing

    /// Makes an empty run beside another one of its request; it enters its list with its first block.
    mutating func makeRun(
        list: Int,
        time: UInt32,
        request: UInt32?,
        beside neighbour: UInt32?,
        isDeeper: Bool
    ) -> UInt32 {
        let number = takeFree()
        var run = Run()
        run.time = time
        run.request = request ?? 0
        run.hasRequest = request != nil
        run.list = UInt8(truncatingIfNeeded: list)
        if let neighbour {
            if isDeeper {
                run.shallower = neighbour
                runs[Int(neighbour)].deeper = number
            } else {
                run.deeper = neighbour
                runs[Int(neighbour)].shallower = number
            }
        }
        runs[Int(number)] = run
        return number
    }

    /// Adds a block that is in no run, as the deepest or the shallowest.
    mutating func add(_ slot: UInt32, to run: UInt32, position: UInt32, isWithheld: Bool) {
        while links.count <= Int(slot) { links.append(Link()) }
        links[Int(slot)] = Link(run: run, isWithheld: isWithheld)
        guard !isWithheld else {
            runs[Int(run)].withheldCount += 1
            return
        }
        attach(slot, to: run, isDeepest: position >= runs[Int(run)].deepestPosition)
        runs[Int(run)].deepestPosition = max(position, runs[Int(run)].deepestPosition)
    }

    /// Takes a block out; returns its run if that ended with it.
    mutating func remove(_ slot: UInt32) -> UInt32? {
        guard let run = run(of: slot) else { return nil }
        if links[Int(slot)].isWithheld { runs[Int(run)].withheldCount -= 1 } else { detach(slot, from: run) }
        links[Int(slot)] = Link()
        guard runs[Int(run)].deepestSlot == Self.none, runs[Int(run)].withheldCount == 0 else { return nil }
        return run
    }

    /// Gives an ended run's number back.
    mutating func free(_ number: UInt32) {
        let run = runs[Int(number)]
        if run.deeper != Self.none { runs[Int(run.deeper)].shallower = run.shallower }
        if run.shallower != Self.none { runs[Int(run.shallower)].deeper = run.deeper }
        runs[Int(number)] = Run(newer: firstFree)
        firstFree = number
    }

    /// Takes an eligible block out of its run's order, but not out of the run.
    mutating func withhold(_ slot: UInt32) {
        guard let run = run(of: slot), !links[Int(slot)].isWithheld else { return }
        detach(slot, from: run)
        links[Int(slot)] = Link(run: run, isWithheld: true)
        runs[Int(run)].withheldCount += 1
    }

    /// Puts a withheld block back as its run's deepest, for so it was proposed.
    mutating func restore(_ slot: UInt32) {
        guard let run = run(of: slot), links[Int(slot)].isWithheld else { return }
        links[Int(slot)].isWithheld = false
        runs[Int(run)].withheldCount -= 1
        attach(slot, to: run, isDeepest: true)
    }

    // MARK: Inside

    private mutating func takeFree() -> UInt32 {
        guard firstFree != Self.none else {
            runs.append(Run())
            return UInt32(truncatingIfNeeded: runs.count - 1)
        }
        let number = firstFree
        firstFree = runs[Int(number)].newer
        return number
    }

    private mutating func attach(_ slot: UInt32, to run: UInt32, isDeepest: Bool) {
        let deepest = runs[Int(run)].deepestSlot
        guard deepest != Self.none else {
            runs[Int(run)].deepestSlot = slot
            runs[Int(run)].shallowestSlot = slot
            return enterList(run)
        }
        if isDeepest {
            links[Int(slot)].shallower = deepest
            links[Int(deepest)].deeper = slot
            runs[Int(run)].deepestSlot = slot
        } else {
            let shallowest = runs[Int(run)].shallowestSlot
            links[Int(slot)].deeper = shallowest
            links[Int(shallowest)].shallower = slot
            runs[Int(run)].shallowestSlot = slot
        }
    }

    private mutating func detach(_ slot: UInt32, from run: UInt32) {
        let link = links[Int(slot)]
        if link.deeper == Self.none {
            runs[Int(run)].deepestSlot = link.shallower
            let position = runs[Int(run)].deepestPosition
            runs[Int(run)].deepestPosition = position > 0 ? position - 1 : 0
        } else {
            links[Int(link.deeper)].shallower = link.shallower
        }
        if link.shallower == Self.none {
            runs[Int(run)].shallowestSlot = link.deeper
        } else {
            links[Int(link.shallower)].deeper = link.deeper
        }
        if runs[Int(run)].deepestSlot == Self.none { leaveList(run) }
    }

    /// Most runs enter as the newest; one that returns finds its place by time, nearly.
    private mutating func enterList(_ run: UInt32) {
        let list = Int(runs[Int(run)].list)
        occupiedLists |= 1 << UInt64(list)
        var older = newest[list]
        var steps = 0
        while older != Self.none, Int32(bitPattern: runs[Int(older)].time &- runs[Int(run)].time) > 0 {
            steps += 1
            older = steps < Self.placingStepCountMax ? runs[Int(older)].older : Self.none
        }
        let newer = older == Self.none ? oldest[list] : runs[Int(older)].newer
        runs[Int(run)].older = older
        runs[Int(run)].newer = newer
        if older == Self.none { oldest[list] = run } else { runs[Int(older)].newer = run }
        if newer == Self.none { newest[list] = run } else { runs[Int(newer)].older = run }
    }

    private mutating func leaveList(_ run: UInt32) {
        let (older, newer, list) = (runs[Int(run)].older, runs[Int(run)].newer, Int(runs[Int(run)].list))
        if older == Self.none { oldest[list] = newer } else { runs[Int(older)].newer = newer }
        if newer == Self.none { newest[list] = older } else { runs[Int(newer)].older = older }
        if oldest[list] == Self.none { occupiedLists &= ~(1 << UInt64(list)) }
    }
}
