internal import Blocks
internal import MemoryTier
internal import Synchronization

/// Gives blocks that were put here to the nodes that own them: a bounded queue, several gifts under way, tried again for
/// a while. A block stays in memory, dirty, until its owner has it; one that cannot be given is kept here for good, since
/// what was accepted is kept.
final class Handoff: Sendable {
    typealias Waiter = @Sendable (CacheError?) -> Void

    /// A block on its way, and who waits for it.
    private final class Gift: Sendable {
        let lease: BlockLease
        let key: [UInt8]
        let space: KeySpace
        let isDurable: Bool
        let pinnedUntil: UInt64

        init(_ lease: BlockLease, key: [UInt8], space: KeySpace, isDurable: Bool, pinnedUntil: UInt64) {
            self.lease = lease
            self.key = key
            self.space = space
            self.isDurable = isDurable
            self.pinnedUntil = pinnedUntil
        }
    }

    private struct Entry {
        let gift: Gift
        var attemptCount = 0
        var notBefore: UInt64 = 0
    }

    private struct State {
        var queue: ArraySlice<Entry> = []
        /// Entries to be tried again, the next due first: all wait for the same time.
        var waiting: ArraySlice<Entry> = []
        var isPumping = false
        var pumpsAgain = false
        var underWayCount = 0
        var underWayByteCount = 0
        /// Bytes queued and under way.
        var byteCount = 0
        /// Blocks queued and under way.
        var handles: Set<BlockHandle> = []
        var waiters: [BlockHandle: [Waiter]] = [:]
        var isClosed = false
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
    var status: (byteCount: Int, count: Int) { state.withLock { ($0.byteCount, $0.handles.count) } }

    /// Queues a block that was just committed dirty.
    func enqueue(
        _ lease: BlockLease,
        key: [UInt8],
        in space: KeySpace,
        isDurable: Bool,
        pinnedUntil: UInt64
    ) {
        let isOpen = state.withLock { state in
            guard !state.isClosed else { return false }
            guard state.handles.insert(lease.handle).inserted else { return true }
            state.queue.append(
                Entry(
                    gift: Gift(
                        lease,
                        key: key,
                        space: space,
                        isDurable: isDurable,
                        pinnedUntil: pinnedUntil
                    )
                )
            )
            state.byteCount += lease.payloadByteCount
            return true
        }
        guard isOpen else { return keep(lease.handle, lease.payloadByteCount) }
        pump()
    }

    /// Calls `waiter` when the owner has the block, with the reason when it has not.
    func whenGiven(_ handle: BlockHandle, _ waiter: @escaping Waiter) {
        let isWaiting = state.withLock { state in
            guard state.handles.contains(handle) else { return false }
            state.waiters[handle, default: []].append(waiter)
            return true
        }
        if !isWaiting { waiter(nil) }
    }

    /// Begins what may begin; called when something was queued or ended, and on every tick of the store's.
    ///
    /// A gift that fails at once calls this from within: the loop under way goes on then, however many there are.
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
            defer {
                state.queue = []
                state.waiting = []
            }
            return state.queue + state.waiting
        }
        for entry in left {
            keep(entry.gift.lease.handle, entry.gift.lease.payloadByteCount)
            end(entry.gift, CacheError(.shuttingDown, "the node is stopping"), wasUnderWay: false)
        }
    }

    private func next() -> Entry? {
        let now = clock.monotonicNanoseconds()
        return state.withLock { state -> Entry? in
            guard state.underWayCount < Self.underWayCountMax,
                state.underWayCount == 0 || state.underWayByteCount < Self.underWayByteCountMax
            else { return nil }
            let isDue = state.waiting.first.map { $0.notBefore <= now } ?? false
            guard let entry = isDue ? state.waiting.popFirst() : state.queue.popFirst() else { return nil }
            state.underWayCount += 1
            state.underWayByteCount += entry.gift.lease.payloadByteCount
            return entry
        }
    }

    private func give(_ entry: Entry, to peers: any PeerTier) {
        let gift = entry.gift
        let wish = GiftWish(isDurable: gift.isDurable, pinnedUntil: gift.pinnedUntil)
        peers.give(gift.lease, key: gift.key, in: gift.space, wish) { [self] outcome in
            switch outcome {
            case .taken:
                counters.handedOff.add()
                counters.handedOffBytes.add(gift.lease.payloadByteCount)
                memory.markNear(gift.lease.handle)
                memory.markClean(gift.lease.handle)
                // The owner keeps it; a copy is not to stay for ever.
                if gift.pinnedUntil != 0 || gift.lease.attributes.pinnedUntil != 0 {
                    _ = memory.update(gift.lease.identity) { $0.pinnedUntil = 0 }
                }
                end(gift, nil, wasUnderWay: true)
            case .conflict:
                // The owner's bytes came first: ours must not be read here any more.
                counters.conflicts.add()
                memory.remove(gift.lease.handle, reason: .replaced)
                end(
                    gift,
                    CacheError(.conflict, "the owner holds other bytes under this key"),
                    wasUnderWay: true
                )
            case .own:
                keep(gift.lease.handle, gift.lease.payloadByteCount)
                end(gift, nil, wasUnderWay: true)
            case .failed(let error):
                failed(entry, error)
            }
            pump()
        }
    }

    private func failed(_ entry: Entry, _ error: CacheError) {
        let gift = entry.gift
        var later = entry
        later.attemptCount += 1
        let isGivenUp = state.withLock { state in
            guard later.attemptCount < Self.attemptCountMax, !state.isClosed else { return true }
            later.notBefore = clock.monotonicNanoseconds() &+ Self.retryNanoseconds
            state.waiting.append(later)
            state.underWayCount -= 1
            state.underWayByteCount -= gift.lease.payloadByteCount
            return false
        }
        guard isGivenUp else { return }
        counters.handoffsKept.add()
        keep(gift.lease.handle, gift.lease.payloadByteCount)
        end(gift, error, wasUnderWay: true)
    }

    private func end(_ gift: Gift, _ error: CacheError?, wasUnderWay: Bool) {
        let waiters = state.withLock { state in
            state.handles.remove(gift.lease.handle)
            state.byteCount -= gift.lease.payloadByteCount
            if wasUnderWay {
                state.underWayCount -= 1
                state.underWayByteCount -= gift.lease.payloadByteCount
            }
            return state.waiters.removeValue(forKey: gift.lease.handle) ?? []
        }
        for waiter in waiters { waiter(error) }
        waitersForSpace.wakeAll()
    }
}
