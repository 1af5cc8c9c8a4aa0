package import Blocks
internal import DiskTier
internal import Eviction
internal import MemoryTier

extension BlockStore {
    /// How many leading keys are held, in one look; the first hole ends the match.
    ///
    /// With a lease, what is reported stays readable until the lease ends, is released, or its owner's connection
    /// closes. Leases together hold at most half of each tier's bytes; a match that would pass that is shortened to
    /// what can be kept, so that a hit promised is a hit served.
    ///
    /// - Parameters:
    ///   - lease: How long; `nil` or zero takes none.
    ///   - prefetches: Whether matched blocks on disk start moving to memory.
    package func match(
        _ space: KeySpace,
        keys: KeyBatch,
        lease: Duration?,
        prefetches: Bool,
        owner: LeaseOwner
    ) -> Match {
        let (match, lesson) = self.match(
            learningLater: space,
            keys: keys,
            lease: lease,
            prefetches: prefetches,
            owner: owner
        )
        learn(lesson)
        return match
    }

    /// The same, and what is to be learnt from it: a third of a match's work, which can wait until its answer is sent.
    ///
    /// The caller gives the lesson to `learn` soon: without, the eviction policy takes the blocks for unused.
    package func match(
        learningLater space: KeySpace,
        keys: KeyBatch,
        lease: Duration?,
        prefetches: Bool,
        owner: LeaseOwner
    ) -> (match: Match, lesson: MatchLesson) {
        counters.matchQueries.add()
        counters.matchQueriedBlocks.add(keys.count)
        let leaseNanoseconds = lease?.nanoseconds ?? 0
        let request = chains.nextRequest(blockCount: keys.count)
        var walk = MatchWalk(leases: leaseNanoseconds > 0, budget: leaseBudget(), request: request)
        walk.tiers.reserveCapacity(keys.count)
        walk.touched.reserveCapacity(keys.count)
        for index in 0..<keys.count {
            let identity = space.identity(of: keys[index])
            guard step(&walk, identity) else { break }
            walk.last = identity
        }
        if walk.isShortened { counters.leasesRefused.add() }
        var lesson = MatchLesson(
            space: space,
            keys: keys,
            request: request,
            uses: walk.touched,
            tiers: walk.tiers
        )
        var leaseID: UInt64?
        if walk.leases, !walk.tiers.isEmpty {
            leaseID = leases.add(
                walk.holdings,
                owner: owner,
                until: clock.monotonicNanoseconds() &+ leaseNanoseconds
            )
            if leaseID == nil {
                // Too many leases are out: nothing can be promised.
                counters.leasesRefused.add()
                giveBack(walk.holdings)
                walk.tiers.removeAll()
            }
        }
        count(walk, in: space, keys: keys)
        if let last = walk.last, !walk.tiers.isEmpty { lesson.ending = (last, walk.tokenCount) }
        if prefetches { startPromotions(space, keys: keys, tiers: walk.tiers) }
        return (Match(tiers: walk.tiers, leaseID: leaseID), lesson)
    }

    /// Tells the eviction policy and the list of hot prefixes what a match has shown.
    package func learn(_ lesson: MatchLesson) {
        memory.touch(lesson.uses.reversed())
        rememberPlaces(lesson)
        guard let (last, tokenCount) = lesson.ending else { return }
        hotPrefixes.record(
            last: last,
            keys: lesson.keys,
            matched: lesson.tiers.count,
            tokenCount: tokenCount
        )
    }

    /// Ends a lease early; false when this owner has none of that number.
    package func release(lease id: UInt64, owner: LeaseOwner) -> Bool {
        guard let holdings = leases.remove(id, owner: owner) else { return false }
        giveBack(holdings)
        return true
    }

    /// Ends all leases of a connection that closed, or of a node's run that is over.
    package func releaseAll(owner: LeaseOwner) {
        for holdings in leases.removeAll(owner: owner) { giveBack(holdings) }
    }

    /// Whether a key is held. With `takesLease`, for clients that cannot take a miss afterwards, the key gets one short
    /// lease; asking again does not renew it, and a key has at most a tenth of its time leased this way.
    package func exists(_ space: KeySpace, key: RawSpan, takesLease: Bool) -> Bool {
        let identity = space.identity(of: key)
        let now = clock.monotonicNanoseconds()
        let leaseNanoseconds = configuration.existsLease.nanoseconds
        guard takesLease, leaseNanoseconds > 0,
            leases.mayLeaseForExists(identity, now: now, pauseEnd: now &+ leaseNanoseconds &* 10)
        else {
            return memory.summary(identity) != nil || disk?.summary(identity) != nil
        }
        var walk = MatchWalk(leases: true, budget: leaseBudget(), request: nil)
        guard step(&walk, identity) else {
            return memory.summary(identity) != nil || disk?.summary(identity) != nil
        }
        if leases.add(walk.holdings, owner: nil, until: now &+ leaseNanoseconds) == nil {
            counters.leasesRefused.add()
            giveBack(walk.holdings)
        }
        return true
    }

    /// Starts bringing blocks from disk to memory; returns how many promotions were started.
    package func prefetch(_ space: KeySpace, keys: KeyBatch) -> Int {
        let tiers = (0..<keys.count).map { index -> Tier in
            let identity = space.identity(of: keys[index])
            return memory.handle(identity) == nil && disk?.summary(identity) != nil ? .disk : .memory
        }
        return startPromotions(space, keys: keys, tiers: tiers)
    }

    /// What is not in memory may be put, or brought from disk, in a moment: the policy is to know its place then.
    private func rememberPlaces(_ lesson: MatchLesson) {
        var places: [(identity: BlockIdentity, place: ChainPlace)] = []
        for index in 0..<min(lesson.keys.count, ChainPlaces.requestBlockCountMax)
        where index >= lesson.tiers.count || lesson.tiers[index] != .memory {
            places.append((lesson.space.identity(of: lesson.keys[index]), lesson.request.place(at: index)))
        }
        if !places.isEmpty { chains.remember(places) }
    }

    func leaseBudget() -> (memoryByteCount: Int, diskByteCount: Int) {
        let held = leases.totals
        let share = configuration.leasedShareMax
        return (
            Int(Double(memory.arena.byteCount) * share) - held.memoryByteCount,
            Int(Double(disk?.byteCountMax ?? 0) * share) - held.diskByteCount
        )
    }

    /// Adds one key to the match; false ends it.
    func step(_ walk: inout MatchWalk, _ identity: BlockIdentity) -> Bool {
        guard walk.leases else { return look(&walk, identity) }
        if let (handle, byteCount, tokenCount) = memory.retain(identity) {
            guard walk.holdings.memoryByteCount + byteCount <= walk.budget.memoryByteCount else {
                memory.release(handle)
                walk.isShortened = true
                return false
            }
            walk.holdings.memoryHandles.append(handle)
            walk.holdings.memoryByteCount += byteCount
            walk.byteCounts.append(byteCount)
            walk.use(handle)
            walk.tiers.append(.memory)
            walk.tokenCount += Int(tokenCount)
            return true
        }
        guard let disk, let byteCount = disk.retain(identity) else { return false }
        guard walk.holdings.diskByteCount + byteCount <= walk.budget.diskByteCount else {
            disk.release(identity)
            walk.isShortened = true
            return false
        }
        walk.holdings.diskIdentities.append(identity)
        walk.holdings.diskByteCount += byteCount
        walk.byteCounts.append(byteCount)
        walk.tiers.append(.disk)
        walk.tokenCount += Int(disk.summary(identity)?.attributes.tokenCount ?? 0)
        return true
    }

    private func look(_ walk: inout MatchWalk, _ identity: BlockIdentity) -> Bool {
        if let (handle, tokenCount) = memory.look(identity) {
            walk.use(handle)
            walk.tiers.append(.memory)
            walk.tokenCount += Int(tokenCount)
        } else if let summary = disk?.summary(identity) {
            walk.tiers.append(.disk)
            walk.tokenCount += Int(summary.attributes.tokenCount)
        } else {
            return false
        }
        return true
    }

    func count(_ walk: MatchWalk, in space: KeySpace, keys: KeyBatch) {
        counters.matchedMemoryBlocks.add(walk.tiers.count { $0 == .memory })
        counters.matchedDiskBlocks.add(walk.tiers.count { $0 == .disk })
        counters.matchedTokens.add(walk.tokenCount)
        space.counters.matchQueries.add()
        space.counters.queriedBlocks.add(keys.count)
        space.counters.matchedBlocks.add(walk.tiers.count)
        space.counters.matchedTokens.add(walk.tokenCount)
    }

    @discardableResult
    func startPromotions(_ space: KeySpace, keys: KeyBatch, tiers: [Tier]) -> Int {
        var started = 0
        guard tiers.contains(.disk), admits(space) else { return 0 }
        for (index, tier) in tiers.enumerated() where tier == .disk {
            guard loader.load(space.identity(of: keys[index]), key: keys.bytes(at: index), nil) else {
                counters.prefetchesRefused.add()
                break
            }
            started += 1
        }
        counters.prefetches.add(started)
        return started
    }
}
