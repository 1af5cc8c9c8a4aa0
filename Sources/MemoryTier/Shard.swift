internal import Blocks
internal import Eviction
internal import Synchronization

/// One shard of the index: a lock around its blocks, and what to tell policy and allocator when they change.
final class Shard: Sendable {
    let core: MemoryCore
    private let number: UInt32
    private let numberBits: UInt32
    let state: Mutex<ShardState>

    /// Shard `number` of `1 << numberBits`.
    init(_ number: Int, numberBits: Int, entryCount: Int, core: MemoryCore) {
        self.number = UInt32(truncatingIfNeeded: number)
        self.numberBits = UInt32(truncatingIfNeeded: numberBits)
        self.core = core
        state = Mutex(ShardState(entryCount: entryCount))
    }

    // MARK: Reading

    /// Leases the visible, unexpired block of this identity whose stored key is `key`; not a packed one.
    func lease(_ identity: BlockIdentity, key: RawSpan) -> BlockLease? {
        state.withLock { state in
            guard let entry = readable(identity, in: state), holds(state.entries[entry], identity, key),
                !state.entries[entry].flags.contains(.packed)
            else { return nil }
            state.countHit(entry)
            return lease(entry, in: &state)
        }
    }

    /// Leases the visible, unexpired block of this handle; not a packed one.
    func lease(_ handle: BlockHandle) -> BlockLease? {
        state.withLock { state in
            guard let entry = state.find(entry(of: handle.slot), generation: handle.generation),
                isReadable(entry, in: state), !state.entries[entry].flags.contains(.packed)
            else { return nil }
            return lease(entry, in: &state)
        }
    }

    /// Whether the block of this handle is visible and unexpired.
    func holds(_ handle: BlockHandle) -> Bool {
        state.withLock { state in
            guard let entry = state.find(entry(of: handle.slot), generation: handle.generation) else {
                return false
            }
            return isReadable(entry, in: state)
        }
    }

    /// Counts a hold on the visible, unexpired block of this identity.
    func retain(_ identity: BlockIdentity) -> (handle: BlockHandle, byteCount: Int, tokenCount: UInt32)? {
        state.withLock { state in
            guard let entry = readable(identity, in: state) else { return nil }
            state.retain(entry)
            return (
                handle(of: entry, in: state), state.entries[entry].byteCount,
                state.entries[entry].attributes.tokenCount
            )
        }
    }

    /// Ends one lease or hold; the last one of a removed block frees its bytes.
    func release(_ handle: BlockHandle) {
        let release = state.withLock { state in
            let release = state.release(entry(of: handle.slot), generation: handle.generation)
            if case .unheld(let entry) = release { offerAgain(entry, in: &state) }
            return release
        }
        guard case .departed(let extentNode) = release else { return }
        core.space.withLock { $0.allocator.free(extentNode) }
    }

    /// What is known of the visible, unexpired block of this identity.
    func summary(_ identity: BlockIdentity) -> BlockSummary? {
        state.withLock { state in readable(identity, in: state).map { state.entries[$0].summary } }
    }

    /// The handle of the visible, unexpired block of this identity, and its tokens.
    func look(_ identity: BlockIdentity) -> (handle: BlockHandle, tokenCount: UInt32)? {
        state.withLock { state in
            readable(identity, in: state).map { entry in
                (handle(of: entry, in: state), state.entries[entry].attributes.tokenCount)
            }
        }
    }

    /// The handle of the visible, unexpired block of this identity.
    func handle(_ identity: BlockIdentity) -> BlockHandle? {
        state.withLock { state in readable(identity, in: state).map { handle(of: $0, in: state) } }
    }

    // MARK: Changing

    /// What a commit did, and what it leaves to do.
    struct Commit {
        var outcome: CommitOutcome
        /// The block that made place under the same identity.
        var departure: Departure?
        /// Keeps the block that is there now, if that was wanted.
        var lease: BlockLease?
    }

    /// Makes the block in `extent` visible, whose header is already encoded there.
    func commit(
        _ header: BlockHeader,
        extent: Extent,
        replaces: Bool,
        isDirty: Bool,
        place: ChainPlace?,
        takesLease: Bool,
        isNear: Bool
    ) -> Commit {
        let now = core.now
        return state.withLock { state in
            var old: (entry: Int, reason: RemovalReason)?
            if let entry = state.find(header.identity) {
                if state.isExpired(entry, at: now) {
                    old = (entry, .expired)
                } else if replaces {
                    old = (entry, .replaced)
                } else {
                    guard hasSameBytes(state.entries[entry], header, extent) else {
                        return Commit(outcome: .conflict)
                    }
                    return Commit(
                        outcome: .exists(handle(of: entry, in: state)),
                        lease: takesLease && !state.entries[entry].flags.contains(.packed)
                            ? lease(entry, in: &state) : nil
                    )
                }
            }
            // First the new one: a process that ends here leaves both in its file, and the later one counts.
            core.file?.publish(extent, isClean: !isDirty)
            let departure = old.map { unlink($0.entry, reason: $0.reason, in: &state) }
            let entry = state.takeVacant()
            state.link(entry, header: header, extent: extent, isDirty: isDirty, now: now)
            state.markNear(entry, isNear)
            let handle = handle(of: entry, in: state)
            let traits = BlockTraits(
                identityBits: header.identity.bits,
                byteCount: extent.byteCount,
                place: place
            )
            core.space.withLock { $0.settle(extent, in: handle.slot) }
            core.recency.withLock { $0.inserted(handle, traits) }
            return Commit(
                outcome: .stored(handle),
                departure: departure,
                lease: takesLease ? lease(entry, in: &state) : nil
            )
        }
    }

    /// Says that another tier holds the block too.
    func markClean(_ handle: BlockHandle) {
        state.withLock { state in
            guard let entry = state.find(entry(of: handle.slot), generation: handle.generation) else {
                return
            }
            state.markClean(entry)
            core.file?.directory.markClean(state.entries[entry].extentNode)
            offerAgain(entry, in: &state)
        }
    }

    /// Says that no other tier holds the block after all.
    func markDirty(_ handle: BlockHandle) {
        state.withLock { state in
            guard let entry = state.find(entry(of: handle.slot), generation: handle.generation) else {
                return
            }
            state.markDirty(entry)
            core.file?.directory.markDirty(state.entries[entry].extentNode)
        }
    }

    /// Says whether the block is a copy of what another node keeps; returns whether it was.
    func setNear(_ handle: BlockHandle, _ isNear: Bool) -> Bool {
        state.withLock { state in
            guard let entry = state.find(entry(of: handle.slot), generation: handle.generation) else {
                return false
            }
            let wasNear = state.entries[entry].flags.contains(.near)
            state.markNear(entry, isNear)
            return wasNear
        }
    }

    /// Whether the readable block of this identity is a copy of what another node keeps.
    func isNear(_ identity: BlockIdentity) -> Bool {
        state.withLock { state in
            readable(identity, in: state).map { state.entries[$0].flags.contains(.near) } ?? false
        }
    }

    /// Unlinks the visible block of this handle; one whose time is over goes for that reason.
    func remove(_ handle: BlockHandle, reason: RemovalReason) -> Departure? {
        let now = core.now
        return state.withLock { state in
            guard let entry = state.find(entry(of: handle.slot), generation: handle.generation) else {
                return nil
            }
            return unlink(entry, reason: state.isExpired(entry, at: now) ? .expired : reason, in: &state)
        }
    }

    /// Unlinks the visible block of this identity; one whose time is over goes for that reason.
    func remove(_ identity: BlockIdentity, reason: RemovalReason) -> Departure? {
        let now = core.now
        return state.withLock { state in
            guard let entry = state.find(identity) else { return nil }
            return unlink(entry, reason: state.isExpired(entry, at: now) ? .expired : reason, in: &state)
        }
    }

    /// Changes the attributes of the visible, unexpired block of this identity.
    func update(_ identity: BlockIdentity, _ change: (inout BlockAttributes) -> Void) -> BlockSummary? {
        let now = core.now
        return state.withLock { state in
            guard let entry = state.find(identity), !state.isExpired(entry, at: now) else { return nil }
            let before = state.entries[entry].attributes
            state.change(entry, now: now, change)
            let block = state.entries[entry]
            if let file = core.file, block.attributes != before { file.rewrite(block) }
            offerAgain(entry, in: &state)
            return state.entries[entry].summary
        }
    }

    // MARK: Evicting

    /// What became of a proposal to evict.
    enum EvictionAttempt {
        case evicted(Departure)
        /// The block may not go now; the policy was told.
        case withheld
        /// The block had gone already.
        case gone
    }

    /// Evicts the block that the policy proposed, or withholds it.
    func evict(_ proposal: BlockHandle, now: UInt64) -> EvictionAttempt {
        state.withLock { state in
            guard let entry = state.find(entry(of: proposal.slot), generation: proposal.generation) else {
                return .gone
            }
            guard mayGo(entry, at: now, in: state) else {
                state.setWithheld(entry, true)
                core.recency.withLock { $0.withheld(proposal.slot) }
                return .withheld
            }
            return .evicted(evict(entry, now: now, in: &state))
        }
    }

    /// Whether the holder of a region's extent may be evicted.
    func mayGo(_ holder: ExtentAllocator.Holder, now: UInt64) -> Bool {
        state.withLock { state in
            guard let entry = occupant(of: holder, in: state) else { return false }
            return mayGo(entry, at: now, in: state)
        }
    }

    /// Evicts the holder of a region's extent; `nil` when it may not go or has gone.
    func evict(_ holder: ExtentAllocator.Holder, now: UInt64) -> Departure? {
        state.withLock { state in
            guard let entry = occupant(of: holder, in: state), mayGo(entry, at: now, in: state) else {
                return nil
            }
            return evict(entry, now: now, in: &state)
        }
    }

    private func occupant(of holder: ExtentAllocator.Holder, in state: ShardState) -> Int? {
        let entry = entry(of: holder.slot)
        guard entry < state.entries.count, state.entries[entry].flags.contains(.linked),
            state.entries[entry].extentNode == holder.node
        else { return nil }
        return entry
    }

    private func mayGo(_ entry: Int, at now: UInt64, in state: ShardState) -> Bool {
        state.mayGo(
            entry,
            at: now,
            isDirtyEvictable: core.isDirtyEvictable.load(ordering: .sequentiallyConsistent)
        )
    }

    private func evict(_ entry: Int, now: UInt64, in state: inout ShardState) -> Departure {
        unlink(entry, reason: state.isExpired(entry, at: now) ? .expired : .evicted, in: &state)
    }

    // MARK: Walking

    /// Entries that one hold of the lock looks at.
    static let walkStepCount = 256

    /// What one hold of the lock did on a walk.
    struct Step {
        /// The first entry not looked at, `nil` at the end of the shard.
        var next: Int?
        /// Entries looked at, vacant ones included.
        var entryCount: Int
        /// The blocks unlinked.
        var departures: [Departure]
    }

    /// Unlinks the blocks of a prefix among the entries from `start` on.
    func removeStep(from start: Int, prefix: KeyPrefix, reason: RemovalReason, now: UInt64) -> Step {
        walk(from: start, count: Self.walkStepCount) { entry, state in
            guard state.entries[entry].identity.prefix == prefix else { return nil }
            return unlink(entry, reason: state.isExpired(entry, at: now) ? .expired : reason, in: &state)
        }
    }

    /// Unlinks expired blocks and notes ended pins among the entries from `start` on, at most `count` of them.
    func sweepStep(from start: Int, count: Int, now: UInt64) -> Step {
        walk(from: start, count: min(count, Self.walkStepCount)) { entry, state in
            guard !state.isExpired(entry, at: now) else { return unlink(entry, reason: .expired, in: &state) }
            state.countPin(entry, now: now)
            offerAgain(entry, in: &state)
            return nil
        }
    }

    /// Offers again what may go since dirty blocks may.
    func offerStep(from start: Int) -> Int? {
        walk(from: start, count: Self.walkStepCount) { entry, state in
            offerAgain(entry, in: &state)
            return nil
        }.next
    }

    /// Counts the readable blocks of a prefix among the entries from `start` on.
    func countStep(from start: Int, prefix: KeyPrefix, now: UInt64) -> (next: Int?, blockCount: Int) {
        var blockCount = 0
        let step = walk(from: start, count: Self.walkStepCount) { entry, state in
            if state.entries[entry].identity.prefix == prefix, !state.isExpired(entry, at: now) {
                blockCount += 1
            }
            return nil
        }
        return (step.next, blockCount)
    }

    /// Shows the blocks among the entries from `start` on; returns the first entry not looked at, `nil` at the end.
    func visitStep(from start: Int, _ visit: (borrowing BlockEntry) -> Void) -> Int? {
        walk(from: start, count: Self.walkStepCount) { entry, state in
            visit(state.entries[entry])
            return nil
        }.next
    }

    /// One block as a scan shows it.
    struct Sight {
        let identity: BlockIdentity
        let key: [UInt8]
        let summary: BlockSummary
        let hitCount: UInt32
    }

    /// Looks at the readable blocks among the entries from `start` on, at most `walkStepCount` of them, and stops
    /// early at `sightCountMax` sights.
    func scanStep(
        from start: Int,
        prefix: KeyPrefix?,
        sightCountMax: Int,
        now: UInt64
    ) -> (next: Int?, sights: [Sight]) {
        state.withLock { state in
            var sights: [Sight] = []
            let end = min(start + Self.walkStepCount, state.entries.count)
            var entry = start
            while entry < end, sights.count < sightCountMax {
                let block = state.entries[entry]
                if block.flags.contains(.linked), prefix == nil || block.identity.prefix == prefix,
                    !state.isExpired(entry, at: now)
                {
                    sights.append(
                        Sight(
                            identity: block.identity,
                            key: core.arena.key(of: block),
                            summary: block.summary,
                            hitCount: block.hitCount
                        )
                    )
                }
                entry += 1
            }
            return (entry < state.entries.count ? entry : nil, sights)
        }
    }

    /// What the shard counts.
    var figures: ShardFigures { state.withLock { $0.figures } }

    private func walk(
        from start: Int,
        count: Int,
        _ visit: (Int, inout ShardState) -> Departure?
    ) -> Step {
        state.withLock { state in
            var departures: [Departure] = []
            let end = min(start + count, state.entries.count)
            for entry in stride(from: start, to: end, by: 1)
            where state.entries[entry].flags.contains(.linked) {
                if let departure = visit(entry, &state) { departures.append(departure) }
            }
            return Step(
                next: end < state.entries.count ? end : nil,
                entryCount: max(0, end - start),
                departures: departures
            )
        }
    }

    // MARK: Under the lock

    func slot(of entry: Int) -> UInt32 { UInt32(truncatingIfNeeded: entry) << numberBits | number }

    func entry(of slot: UInt32) -> Int { Int(slot >> numberBits) }

    func handle(of entry: Int, in state: borrowing ShardState) -> BlockHandle {
        BlockHandle(slot: slot(of: entry), generation: state.entries[entry].generation)
    }

    func readable(_ identity: BlockIdentity, in state: borrowing ShardState) -> Int? {
        guard let entry = state.find(identity), isReadable(entry, in: state) else { return nil }
        return entry
    }

    /// The clock is read for blocks only that have an end.
    func isReadable(_ entry: Int, in state: borrowing ShardState) -> Bool {
        state.entries[entry].expiresAt == 0 || !state.isExpired(entry, at: core.now)
    }

    func holds(_ block: BlockEntry, _ identity: BlockIdentity, _ key: RawSpan) -> Bool {
        unsafe BlockHeader.names(identity, key: key, in: core.arena.head(of: block))
    }

    private func hasSameBytes(_ block: BlockEntry, _ header: BlockHeader, _ extent: Extent) -> Bool {
        block.payloadByteCount == header.payloadByteCount && block.payloadChecksum == header.payloadChecksum
            && core.arena.key(of: block)
                == core.arena.key(atByteOffset: extent.byteOffset, byteCount: header.keyByteCount)
    }

    func lease(_ entry: Int, in state: inout ShardState) -> BlockLease {
        state.retain(entry)
        return BlockLease(state.entries[entry], handle: handle(of: entry, in: state), shard: self)
    }

    func unlink(_ entry: Int, reason: RemovalReason, in state: inout ShardState) -> Departure {
        // Before anything else: whatever becomes of the process, the block does not come back.
        core.file?.directory.clear(state.entries[entry].extentNode)
        core.recency.withLock { $0.removed(slot(of: entry), isEviction: reason == .evicted) }
        return state.unlink(entry, reason: reason)
    }

    /// Tells the policy of a withheld block that may go again.
    private func offerAgain(_ entry: Int, in state: inout ShardState) {
        let block = state.entries[entry]
        guard block.flags.contains(.withheld), block.leaseCount == 0, !block.flags.contains(.pinned),
            !block.flags.contains(.dirty) || core.isDirtyEvictable.load(ordering: .sequentiallyConsistent)
        else { return }
        state.setWithheld(entry, false)
        core.recency.withLock { $0.returned(slot(of: entry)) }
    }
}
