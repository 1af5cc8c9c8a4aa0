/// The block goes whose next use is least worth waiting for, by what was learned of blocks like it.
///
/// Our own; its parts are known ones. Every use is put into a class by what a store of prefixes can know of it: how
/// often the block was used, how long ago before that, how long the request was, whether the block ended it
/// (`UseKind`). From a sample of blocks, held or not, `ReuseModel` learns when the next use comes after uses of each
/// class. Held blocks stand in lists by forecast (`BlockRuns`); the victim is the least worthy among the oldest and the
/// newest of each list, so a cache that is too small for its conversations keeps some of them until they return
/// instead of losing all of them a little later. A table of ghosts knows uses of blocks that left.
///
/// Bytes a block: 25, 48 a run (one block to a whole request), 48 for ghosts, 24 for the sample. Not for tiny machines:
/// it computes ten times what LRU does; and it gains nothing where reuse is uniform.
package struct ForecastPolicy: EvictionPolicy {
    /// Ghosts for a block of the cache: what is remembered reaches this many times as far as what is held.
    private static let ghostsPerBlock = 12
    /// The list of blocks that stand behind a hole in their own request: nothing can come of them.
    private static let deadList = ReuseModel.listCount
    /// Marks a block whose next plain use is the read that a question about its whole chain announced.
    private static let isAnnounced: UInt8 = 0x80

    /// By slot: what ghosts and the sample know the block by.
    private var identities: [UInt64] = []
    /// By slot: uses so far in the low bits, and `isAnnounced`.
    private var uses: [UInt8] = []
    private var runs: BlockRuns
    private var requests = OpenRequests()
    private var model: ReuseModel
    private var sampler = ReuseSampler()
    private var ghosts: GhostTable?
    /// Blocks that the ghost table was made for.
    private var ghostedCount = 0
    private var heldCount = 0
    /// Uses so far, the policy's time.
    private var now: UInt32 = 0

    /// Nothing held, nothing learned.
    package init(slotCount: Int) {
        runs = BlockRuns(listCount: ReuseModel.listCount + 1, slotCount: slotCount)
        model = ReuseModel(heldCount: 64)
        identities.reserveCapacity(slotCount)
        uses.reserveCapacity(slotCount)
    }

    /// Bytes of all bookkeeping in use.
    package var byteCount: Int {
        identities.count * 9 + runs.byteCount + sampler.byteCount + (ghosts?.byteCount ?? 0)
    }

    // MARK: Uses

    /// Takes note of the block and of its first use, or of one more if its ghost is known.
    package mutating func inserted(_ slot: UInt32, _ traits: BlockTraits) {
        while identities.count <= Int(slot) {
            identities.append(0)
            uses.append(0)
        }
        if runs.run(of: slot) == nil { heldCount += 1 }
        leaveRun(slot)
        now &+= 1
        let ghost = ghosts?.take(traits.identityBits, now: now)
        let useCount = min(GhostTable.useCountMax, (ghost?.useCount ?? 0) + 1)
        identities[Int(slot)] = traits.identityBits
        uses[Int(slot)] = useCount
        let kind = UseKind(useCount: useCount, pause: ghost?.age ?? 0, place: traits.place)
        join(slot, kind, at: traits.place, isNew: true, isWithheld: false)
    }

    /// Counts a use, unless it is the read that follows a question about the same block.
    package mutating func touched(_ slot: UInt32, at place: ChainPlace?) {
        guard let run = runs.run(of: slot) else { return }
        let known = uses[Int(slot)] & ~Self.isAnnounced
        if place == nil, known != uses[Int(slot)] {
            uses[Int(slot)] = known
            return
        }
        now &+= 1
        let pause = now &- runs[run].time
        let isWithheld = runs.isWithheld(slot)
        leaveRun(slot)
        let useCount = min(GhostTable.useCountMax, known + 1)
        uses[Int(slot)] = place == nil ? useCount : useCount | Self.isAnnounced
        let kind = UseKind(useCount: useCount, pause: pause, place: place)
        join(slot, kind, at: place, isNew: false, isWithheld: isWithheld)
    }

    // MARK: Leaving

    /// Forgets the block; one that is evicted leaves a ghost.
    package mutating func removed(_ slot: UInt32, isEviction: Bool) {
        guard let number = runs.run(of: slot) else { return }
        let run = runs[number]
        if isEviction {
            remember(slot, usedAt: run.time)
            if run.hasRequest, run.deepestSlot == slot {
                requests.evicted(at: run.deepestPosition, of: run.request)
            }
        }
        leaveRun(slot)
        heldCount -= 1
    }

    /// The least worthy among the oldest and the newest of all lists, or what stands deeper in its request.
    package mutating func victim() -> UInt32? {
        var worst: UInt32?
        var leastWorth = Double.infinity
        var lists = runs.occupiedLists
        while lists != 0 {
            let list = lists.trailingZeroBitCount
            lists &= lists - 1
            let oldest = runs.oldestRun(ofList: list)
            guard list != Self.deadList else { return runs.deepestSlot(from: oldest) }
            let newest = runs.newestRun(ofList: list)
            let oldestWorth = model.worth(ofList: list, age: now &- runs[oldest].time)
            let newestWorth = model.worth(ofList: list, age: now &- runs[newest].time)
            let worth = min(oldestWorth, newestWorth)
            guard worth < leastWorth else { continue }
            leastWorth = worth
            worst = oldestWorth <= newestWorth ? oldest : newest
        }
        return worst.map { runs.deepestSlot(from: $0) }
    }

    /// Takes the block out of the order.
    package mutating func withheld(_ slot: UInt32) { runs.withhold(slot) }

    /// Puts the block back as the first to go of its run.
    package mutating func returned(_ slot: UInt32) { runs.restore(slot) }

    // MARK: Inside

    private mutating func join(
        _ slot: UInt32,
        _ kind: UseKind,
        at place: ChainPlace?,
        isNew: Bool,
        isWithheld: Bool
    ) {
        let list = model.list(for: kind)
        sampler.used(identities[Int(slot)], kind, now: now, heldCount: heldCount, model: &model)
        guard let place else {
            let run = runs.makeRun(list: list, time: now, request: nil, beside: nil, isDeeper: false)
            return runs.add(slot, to: run, position: 0, isWithheld: isWithheld)
        }
        let request = requests.open(place.request)
        let isDead = isNew && place.position > request.holePosition
        let run = run(for: place, list: isDead ? Self.deadList : list, in: request)
        runs.add(slot, to: run, position: place.position, isWithheld: isWithheld)
    }

    /// The run at the near end of the request's chain, if it is forecast alike; a new one beside it otherwise.
    private mutating func run(for place: ChainPlace, list: Int, in request: OpenRequests.Entry) -> UInt32 {
        var neighbour = request.deepestRun
        var isDeeper = false
        if let deepest = request.deepestRun {
            isDeeper = place.position >= runs[deepest].deepestPosition
            if !isDeeper { neighbour = request.shallowestRun }
        }
        if let neighbour, Int(runs[neighbour].list) == list { return neighbour }
        let run = runs.makeRun(
            list: list,
            time: now,
            request: place.request,
            beside: neighbour,
            isDeeper: isDeeper
        )
        requests.extend(place.request, with: run, isDeeper: isDeeper)
        return run
    }

    private mutating func leaveRun(_ slot: UInt32) {
        guard let number = runs.remove(slot) else { return }
        let run = runs[number]
        if run.hasRequest {
            requests.ended(
                number,
                of: run.request,
                deeper: run.deeper == BlockRuns.none ? nil : run.deeper,
                shallower: run.shallower == BlockRuns.none ? nil : run.shallower
            )
        }
        runs.free(number)
    }

    /// The first eviction tells how many blocks the cache holds; the table is made anew when there are a quarter more.
    private mutating func remember(_ slot: UInt32, usedAt time: UInt32) {
        if ghosts == nil || heldCount > ghostedCount + ghostedCount / 4 {
            ghostedCount = max(64, heldCount)
            ghosts = GhostTable(count: ghostedCount * Self.ghostsPerBlock, span: ghostedCount)
        }
        let useCount = uses[Int(slot)] & ~Self.isAnnounced
        ghosts?.add(identities[Int(slot)], usedAt: time, useCount: useCount, now: now)
    }
}
