internal import Blocks
internal import MemoryTier
internal import Synchronization

/// Gives blocks that were put here to the nodes that own them: a bounded queue, several gifts under way, tried again for
/// a while. A block stays in memory, dirty, until its owner has it; one that cannot be given is kept here for good, since
/// what was accepted is kept.
final class Handoff: Sendable {
    typealias Waiter = @Sendable (CacheError?) -> Void

    /// A block on its way to its owner.
    private struct Entry {
        let lease: BlockLease
        let key: [UInt8]
        let space: KeySpace
        /// What the owner is to be asked for: the strongest of all that was wished since the block was queued.
        var wish: GiftWish
        /// What it is being asked for by the transfer under way; `nil` while none is.
        var asked: GiftWish?
        /// What it has agreed to; `nil` before it has the block.
        var granted: GiftWish?
        var attemptCount = 0
        /// Whether the block was deleted meanwhile: what the owner answers is of no interest any more.
        var isCancelled = false
        var waiters: [(isDurable: Bool, waiter: Waiter)] = []
    }

    private struct State {
        var entries: [BlockHandle: Entry] = [:]
        /// The entries of an identity: more than one when it was deleted and put again meanwhile.
        var handles: [BlockIdentity: [BlockHandle]] = [:]
        /// Blocks to be given next, the oldest first; those that have ended since are skipped.
        var queue: ArraySlice<BlockHandle> = []
        /// Blocks to be tried again, the next due first: all wait for the same time.
        var waiting: ArraySlice<(handle: BlockHandle, notBefore: UInt64)> = []
        var isPumping = false
        var pumpsAgain = false
        var underWayCount = 0
        var underWayByteCount = 0
        /// Bytes queued and under way.
        var byteCount = 0
        var isClosed = false

        /// Takes an entry out; who waits for it is the caller's to answer.
        mutating func remove(_ handle: BlockHandle) -> Entry? {
            guard let entry = entries.removeValue(forKey: handle) else { return nil }
            byteCount -= entry.lease.payloadByteCount
            let identity = entry.lease.identity
            handles[identity]?.removeAll { $0 == handle }
            if handles[identity]?.isEmpty == true { handles[identity] = nil }
            return entry
        }

        mutating func insert(_ entry: Entry) {
            let handle = entry.lease.handle
            entries[handle] = entry
            handles[entry.lease.identity, default: []].append(handle)
            queue.append(handle)
            byteCount += entry.lease.payloadByteCount
        }
    }

    /// Gifts under way at the same time, and their bytes: enough to fill a network, little enough to be fair.
    private static let underWayCountMax = 32
    private static let underWayByteCountMax = 64 << 20
    /// Tries before a block is kept here, and nanoseconds between two: about six seconds.
    private static let attemptCountMax = 6
    private static let retryNanoseconds: UInt64 = 1_000_000_000

    private let memory: MemoryTier
    private let clock: any CacheClock
    private let counters: StoreCounters
    private let waitersForSpace: SpaceWaiters
    private let keep: @Sendable (BlockHandle, _ byteCount: Int) -> Void
    private let state = Mutex(State())
    private let peers = Mutex<(any PeerTier)?>(nil)

    /// `keep` takes a block that stays here into the care of this node's own tiers.
    init(
        memory: MemoryTier,
        clock: any CacheClock,
        counters: StoreCounters,
        waitersForSpace: SpaceWaiters,
        keep: @escaping @Sendable (BlockHandle, _ byteCount: Int) -> Void
    ) {
        self.memory = memory
        self.clock = clock
        self.counters = counters
        self.waitersForSpace = waitersForSpace
        self.keep = keep
    }

    /// Begins to give; before, blocks only queue up.
    func start(_ peers: any PeerTier) {
        self.peers.withLock { $0 = peers }
    }

    /// Bytes and blocks that wait for their owners.
    var status: (byteCount: Int, count: Int) { state.withLock { ($0.byteCount, $0.entries.count) } }

    /// Queues a block that was just committed dirty; for one that is queued or under way already, what is wished is added
    /// to what was wished before.
    func enqueue(_ lease: BlockLease, key: [UInt8], in space: KeySpace, _ wish: GiftWish) {
        let isOpen = state.withLock { state in
            guard !state.isClosed else { return false }
            let handle = lease.handle
            if state.entries[handle] != nil {
                state.entries[handle]?.wish.formUnion(wish)
                return true
            }
            state.insert(Entry(lease: lease, key: key, space: space, wish: wish))
            return true
        }
        guard isOpen else { return keep(lease.handle, lease.payloadByteCount) }
        pump()
    }

    /// Calls `waiter` when the owner has the block, on disk and synced if `isDurable`, with the reason when it has not.
    func whenGiven(_ handle: BlockHandle, isDurable: Bool, _ waiter: @escaping Waiter) {
        let isWaiting = state.withLock { state in
            guard let entry = state.entries[handle] else { return false }
            if let granted = entry.granted, granted.isDurable || !isDurable { return false }
            state.entries[handle]?.waiters.append((isDurable, waiter))
            return true
        }
        if !isWaiting { waiter(nil) }
    }

    /// Takes a deleted block out of the queue; what is under way is refused by its owner, which knows of the deletion.
    func cancel(_ identity: BlockIdentity) {
        cancel { state in state.handles[identity] ?? [] }
    }

    /// The same for a whole key space.
    func cancelAll(prefix: KeyPrefix) {
        cancel { state in state.handles.filter { $0.key.prefix == prefix }.flatMap(\.value) }
    }

    /// Begins what may begin; called when something was queued or ended, and on every tick of the store's.
    ///
    /// A transfer that fails at once calls this from within: the loop under way goes on then, however many there are.
    func pump() {
        guard let peers = peers.withLock({ $0 }) else { return }
        let isFirst = state.withLock { state in
            guard !state.isPumping else {
                state.pumpsAgain = true
                return false
            }
            state.isPumping = true
            return true
        }
        guard isFirst else { return }
        repeat {
            while let entry = next() { give(entry, to: peers) }
        } while state.withLock { state in
            defer { state.pumpsAgain = false }
            if !state.pumpsAgain { state.isPumping = false }
            return state.pumpsAgain
        }
    }

    /// Keeps here what was not given, and waits for nothing more.
    func stop() {
        let left = state.withLock { state in
            state.isClosed = true
            let handles = state.entries.compactMap { $0.value.asked == nil ? $0.key : nil }
            state.queue = []
            state.waiting = []
            return handles.compactMap { state.remove($0) }
        }
        for entry in left {
            if entry.granted == nil { keep(entry.lease.handle, entry.lease.payloadByteCount) }
            answer(entry.waiters, CacheError(.shuttingDown, "the node is stopping"))
        }
    }

    private func cancel(_ handles: (State) -> [BlockHandle]) {
        let cancelled = state.withLock { state in
            guard !state.entries.isEmpty else { return [Entry]() }
            var cancelled: [Entry] = []
            for handle in handles(state) {
                if state.entries[handle]?.asked == nil, let entry = state.remove(handle) {
                    cancelled.append(entry)
                } else {
                    state.entries[handle]?.isCancelled = true
                }
            }
            return cancelled
        }
        guard !cancelled.isEmpty else { return }
        counters.handoffsCancelled.add(cancelled.count)
        for entry in cancelled {
            answer(entry.waiters, CacheError(.conflict, "the block was deleted before its owner had it"))
        }
        waitersForSpace.wakeAll()
    }

    private func next() -> Entry? {
        let now = clock.monotonicNanoseconds()
        return state.withLock { state -> Entry? in
            guard state.underWayCount < Self.underWayCountMax,
                state.underWayCount == 0 || state.underWayByteCount < Self.underWayByteCountMax
            else { return nil }
            while true {
                let isDue = state.waiting.first.map { $0.notBefore <= now } ?? false
                guard let handle = isDue ? state.waiting.popFirst()?.handle : state.queue.popFirst() else {
                    return nil
                }
                guard var entry = state.entries[handle], entry.asked == nil else { continue }
                entry.asked = entry.wish
                state.entries[handle] = entry
                state.underWayCount += 1
                state.underWayByteCount += entry.lease.payloadByteCount
                return entry
            }
        }
    }

    private func give(_ entry: Entry, to peers: any PeerTier) {
        let handle = entry.lease.handle
        peers.give(entry.lease, key: entry.key, in: entry.space, entry.wish) { [self] outcome in
            switch outcome {
            case .taken: taken(handle)
            case .conflict:
                // The owner's bytes came first: ours must not be read here any more.
                counters.conflicts.add()
                memory.remove(handle, reason: .replaced)
                end(handle, CacheError(.conflict, "the owner holds other bytes under this key"))
            case .deleted:
                counters.handoffsCancelled.add()
                memory.remove(handle, reason: .deleted)
                end(handle, CacheError(.conflict, "the block was deleted before its owner had it"))
            case .own:
                end(handle, nil) { [keep] entry in keep(entry.lease.handle, entry.lease.payloadByteCount) }
            case .failed(let error): failed(handle, error)
            }
            pump()
        }
    }

    /// The owner has the block; when more was wished meanwhile it is asked once more, before those who wished it are told.
    private func taken(_ handle: BlockHandle) {
        let (entry, answered) = state.withLock { state -> (Entry?, [Waiter]) in
            guard var entry = state.entries[handle], let granted = entry.asked else { return (nil, []) }
            state.underWayCount -= 1
            state.underWayByteCount -= entry.lease.payloadByteCount
            entry.asked = nil
            entry.granted = granted
            entry.attemptCount = 0
            let needsMore = !entry.isCancelled && !state.isClosed && !granted.covers(entry.wish)
            let answered = entry.waiters.filter { granted.isDurable || !$0.isDurable || !needsMore }
            if needsMore {
                entry.waiters.removeAll { granted.isDurable || !$0.isDurable }
                state.entries[handle] = entry
                state.queue.append(handle)
            } else {
                _ = state.remove(handle)
            }
            return (entry, answered.map(\.waiter))
        }
        guard let entry else { return }
        if !entry.isCancelled {
            counters.handedOff.add()
            counters.handedOffBytes.add(entry.lease.payloadByteCount)
            memory.markNear(handle)
            memory.markClean(handle)
            // The owner keeps it; a copy is not to stay for ever.
            if entry.wish.pinnedUntil != 0 || entry.lease.attributes.pinnedUntil != 0 {
                _ = memory.update(entry.lease.identity) { $0.pinnedUntil = 0 }
            }
        }
        for waiter in answered { waiter(nil) }
        waitersForSpace.wakeAll()
    }

    private func failed(_ handle: BlockHandle, _ error: CacheError) {
        let mayTryAgain = state.withLock { state in
            guard var entry = state.entries[handle] else { return true }
            entry.attemptCount += 1
            guard entry.attemptCount < Self.attemptCountMax, !state.isClosed, !entry.isCancelled else {
                return false
            }
            state.underWayCount -= 1
            state.underWayByteCount -= entry.lease.payloadByteCount
            entry.asked = nil
            state.entries[handle] = entry
            state.waiting.append((handle, clock.monotonicNanoseconds() &+ Self.retryNanoseconds))
            return true
        }
        guard !mayTryAgain else { return }
        end(handle, error) { [counters, keep] entry in
            // What the owner has, and only did not agree to keep as wished, is a copy here all the same.
            guard !entry.isCancelled, entry.granted == nil else { return }
            counters.handoffsKept.add()
            keep(entry.lease.handle, entry.lease.payloadByteCount)
        }
    }

    /// Ends a transfer that was under way: `before` is called with the entry, then those who wait are answered.
    private func end(_ handle: BlockHandle, _ error: CacheError?, _ before: (Entry) -> Void = { _ in }) {
        let entry = state.withLock { state -> Entry? in
            guard let entry = state.remove(handle) else { return nil }
            if entry.asked != nil {
                state.underWayCount -= 1
                state.underWayByteCount -= entry.lease.payloadByteCount
            }
            return entry
        }
        guard let entry else { return }
        before(entry)
        answer(entry.waiters, error)
        waitersForSpace.wakeAll()
    }

    private func answer(_ waiters: [(isDurable: Bool, waiter: Waiter)], _ error: CacheError?) {
        for (_, waiter) in waiters { waiter(error) }
    }
}
