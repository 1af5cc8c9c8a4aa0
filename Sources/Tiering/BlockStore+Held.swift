package import Blocks
internal import DiskTier
internal import MemoryTier
internal import Synchronization

extension BlockStore {
    /// What a node holds of some keys that need not follow each other.
    package struct Holding: Sendable {
        /// The tier of each key, `nil` for those that are not held.
        package let tiers: [Tier?]
        /// The lease that keeps them readable, when one was asked for.
        package let leaseID: UInt64?
    }

    /// Which of some keys this node holds: its part of a match that another node makes.
    ///
    /// With `keptOnly` a copy of what another node keeps does not count: it may go at any time.
    ///
    /// With a lease, what is reported stays readable, as with ``match(_:keys:lease:prefetches:owner:)``; what would pass
    /// the leases' share is reported as not held.
    package func held(
        _ space: KeySpace,
        keys: KeyBatch,
        lease: Duration?,
        prefetches: Bool,
        keptOnly: Bool = false,
        owner: LeaseOwner
    ) -> Holding {
        let leaseNanoseconds = lease?.nanoseconds ?? 0
        let request = chains.nextRequest(blockCount: keys.count)
        var walk = MatchWalk(leases: leaseNanoseconds > 0, budget: leaseBudget(), request: request)
        var tiers = [Tier?](repeating: nil, count: keys.count)
        var heldKeys = KeyBatch(keyCapacity: keys.count, byteCapacity: keys.count * 40)
        for index in 0..<keys.count {
            let identity = space.identity(of: keys[index])
            if keptOnly, memory.isNear(identity), disk?.summary(identity) == nil { continue }
            guard step(&walk, identity) else { continue }
            tiers[index] = walk.tiers.last
            heldKeys.append(keys[index])
            walk.last = identity
        }
        if walk.isShortened { counters.leasesRefused.add() }
        var leaseID: UInt64?
        if walk.leases, !walk.tiers.isEmpty {
            leaseID = leases.add(
                walk.holdings,
                owner: owner,
                until: clock.monotonicNanoseconds() &+ leaseNanoseconds
            )
            if leaseID == nil {
                counters.leasesRefused.add()
                giveBack(walk.holdings)
                return Holding(tiers: keys.isEmpty ? [] : tiers.map { _ in nil }, leaseID: nil)
            }
        }
        count(walk, in: space, keys: keys)
        memory.touch(walk.touched.reversed())
        if let last = walk.last {
            hotPrefixes.record(
                last: last,
                keys: heldKeys,
                matched: heldKeys.count,
                tokenCount: walk.tokenCount
            )
        }
        if prefetches { startPromotions(space, keys: heldKeys, tiers: walk.tiers) }
        return Holding(tiers: tiers, leaseID: leaseID)
    }

    /// Matches keys that may be spread over the nodes of the cluster: what this node does not have is asked for in one
    /// round trip to each node that may have it.
    ///
    /// `completion` is called once, on any thread, possibly before this returns; the lesson is to be learnt soon. Both
    /// are as for a match on this node alone.
    package func matchEverywhere(
        _ space: KeySpace,
        keys: KeyBatch,
        lease: Duration?,
        prefetches: Bool,
        owner: LeaseOwner,
        _ completion: @escaping @Sendable ((match: Match, lesson: MatchLesson)) -> Void
    ) {
        guard space.isShared, let peers = peers.withLock({ $0 }) else {
            return completion(
                match(learningLater: space, keys: keys, lease: lease, prefetches: prefetches, owner: owner)
            )
        }
        counters.matchQueries.add()
        counters.matchQueriedBlocks.add(keys.count)
        guard peers.mayServeHeld else {
            counters.missesCatchingUp.add(keys.count)
            let nothing = PendingMatch(
                space: space,
                keys: keys,
                lease: lease,
                owner: owner,
                prefetches: false,
                walk: MatchWalk(leases: false, budget: leaseBudget(), request: nil),
                tiers: []
            )
            return completion(finish(nothing, heldElsewhere: [], []))
        }
        var walk = MatchWalk(
            leases: (lease?.nanoseconds ?? 0) > 0,
            budget: leaseBudget(),
            request: chains.nextRequest(blockCount: keys.count)
        )
        var tiers: [Tier?] = []
        tiers.reserveCapacity(keys.count)
        var asked: [Int] = []
        for index in 0..<keys.count {
            if step(&walk, space.identity(of: keys[index])) {
                tiers.append(walk.tiers.last)
            } else if peers.role(of: keys[index]).mayBeElsewhere {
                tiers.append(nil)
                asked.append(index)
            } else {
                // Nobody has it: the match ends here, whatever comes after.
                break
            }
        }
        let pending = PendingMatch(
            space: space,
            keys: keys,
            lease: lease,
            owner: owner,
            prefetches: prefetches,
            walk: walk,
            tiers: tiers
        )
        guard !asked.isEmpty else { return completion(finish(pending, heldElsewhere: [], [])) }
        var wanted = KeyBatch(keyCapacity: asked.count, byteCapacity: asked.count * 40)
        for index in asked { wanted.append(keys[index]) }
        let places = asked
        peers.match(space, keys: wanted, lease: lease, prefetches: prefetches) { [self] answer in
            let held = zip(places, answer.isHeld).compactMap { $1 ? $0 : nil }
            completion(finish(pending, heldElsewhere: held, answer.leases))
        }
    }

    private func finish(
        _ pending: PendingMatch,
        heldElsewhere: [Int],
        _ peerLeases: [PeerLease]
    ) -> (match: Match, lesson: MatchLesson) {
        var tiers = pending.tiers
        for index in heldElsewhere where tiers.indices.contains(index) { tiers[index] = .peer }
        var walk = pending.walk
        let matched = tiers.prefix { $0 != nil }.compactMap(\.self)
        // What was found behind the first hole is of no use.
        let ownCount = matched.count { $0 != .peer }
        let surplus = walk.trim(toBlockCount: ownCount)
        if !surplus.isEmpty { giveBack(surplus) }
        walk.holdings.peerLeases = peerLeases
        walk.tiers = matched
        if walk.isShortened { counters.leasesRefused.add() }
        let space = pending.space
        var leaseID: UInt64?
        if walk.leases {
            if matched.isEmpty || walk.holdings.isEmpty {
                giveBack(walk.holdings)
            } else {
                leaseID = leases.add(
                    walk.holdings,
                    owner: pending.owner,
                    until: clock.monotonicNanoseconds() &+ (pending.lease?.nanoseconds ?? 0)
                )
                if leaseID == nil {
                    counters.leasesRefused.add()
                    giveBack(walk.holdings)
                    walk.tiers.removeAll()
                }
            }
        }
        count(walk, in: space, keys: pending.keys)
        counters.matchedPeerBlocks.add(walk.tiers.count { $0 == .peer })
        var lesson = MatchLesson(
            space: space,
            keys: pending.keys,
            request: walk.request ?? chains.nextRequest(blockCount: pending.keys.count),
            uses: walk.touched,
            tiers: walk.tiers
        )
        if !walk.tiers.isEmpty {
            let last = space.identity(of: pending.keys[walk.tiers.count - 1])
            lesson.ending = (last, walk.tokenCount)
        }
        if pending.prefetches { startPromotions(space, keys: pending.keys, tiers: walk.tiers) }
        return (Match(tiers: walk.tiers, leaseID: leaseID), lesson)
    }
}

/// A match that waits for what other nodes have.
private struct PendingMatch: Sendable {
    let space: KeySpace
    let keys: KeyBatch
    let lease: Duration?
    let owner: LeaseOwner
    let prefetches: Bool
    let walk: MatchWalk
    /// The tier of each key that is held here, up to the first that nobody has.
    let tiers: [Tier?]
}
