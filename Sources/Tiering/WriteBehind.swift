internal import Blocks
internal import DiskTier
internal import MemoryTier
internal import Synchronization

/// Writes accepted blocks from memory to disk, in order, in units, on one thread.
///
/// A block in the queue stays in memory, dirty, until its unit is ingested; only then may eviction take it. A unit is
/// finished when it is full, when its first block has waited long enough, when somebody waits for durability, or when
/// dirty blocks take much of the memory. A failing disk costs no block: the unit is cancelled, its blocks go back to
/// the queue's head, and the next try comes after a pause.
final class WriteBehind: Sendable {
    typealias DurabilityWaiter = @Sendable (CacheError?) -> Void

    private struct Entry {
        let handle: BlockHandle
        let byteCount: Int
        let since: UInt64
    }

    private struct State {
        var queue: [Entry] = []
        var head = 0
        /// Bytes of blocks queued or in the unit being written.
        var dirtyByteCount = 0
        /// Blocks queued or in the unit being written.
        var dirtyHandles: Set<BlockHandle> = []
        var waiters: [BlockHandle: [DurabilityWaiter]] = [:]
        /// Since when tombstones or attribute records wait to be written, monotonic nanoseconds.
        var recordsSince: UInt64?
        var isFlushing = false
        var isClosed = false
        var failure: CacheError?

        var isEmpty: Bool { head == queue.count }
    }

    private let memory: MemoryTier
    private let disk: DiskTier
    private let clock: any CacheClock
    private let counters: StoreCounters
    private let packer: MemoryPacker?
    private let waitersForSpace: SpaceWaiters
    private let watcher: (any BlockWatcher)?
    private let writeDelayNanoseconds: UInt64
    private let dirtyByteCountSoftMax: Int
    private let state = Mutex(State())
    private let doorbell = Doorbell()
    private let thread = Mutex<ServiceThread?>(nil)

    /// How long a failing disk is left alone, milliseconds.
    private static let retryPauseMilliseconds = 1_000

    init(
        memory: MemoryTier,
        disk: DiskTier,
        clock: any CacheClock,
        counters: StoreCounters,
        packer: MemoryPacker?,
        waitersForSpace: SpaceWaiters,
        configuration: StoreConfiguration
    ) {
        self.memory = memory
        self.disk = disk
        self.clock = clock
        self.counters = counters
        self.packer = packer
        self.waitersForSpace = waitersForSpace
        watcher = configuration.watcher
        writeDelayNanoseconds = configuration.writeDelay.nanoseconds
        dirtyByteCountSoftMax = Int(Double(memory.arena.byteCount) * configuration.dirtyShareMax / 2)
    }

    /// Starts the thread.
    func start() {
        thread.withLock { $0 = ServiceThread(name: "larder-write") { self.run() } }
    }

    /// Dirty bytes and blocks, and why the disk refuses, if it does.
    var status: (byteCount: Int, count: Int, failure: CacheError?) {
        state.withLock { ($0.dirtyByteCount, $0.dirtyHandles.count, $0.failure) }
    }

    /// Queues a block that was just stored dirty.
    func enqueue(_ handle: BlockHandle, byteCount: Int) {
        let entry = Entry(handle: handle, byteCount: byteCount, since: clock.monotonicNanoseconds())
        state.withLock { state in
            state.queue.append(entry)
            state.dirtyByteCount += byteCount
            state.dirtyHandles.insert(handle)
        }
        doorbell.ring()
    }

    /// Calls `waiter` when the block is on disk and synced, or with the reason why it is not.
    func whenWritten(_ handle: BlockHandle, _ waiter: @escaping DurabilityWaiter) {
        let (isWaiting, failure) = state.withLock { state -> (Bool, CacheError?) in
            // Neither queued nor being written: it is on disk already.
            guard state.dirtyHandles.contains(handle) else { return (false, nil) }
            guard !state.isClosed else { return (false, CacheError(.shuttingDown, "the node is stopping")) }
            state.waiters[handle, default: []].append(waiter)
            return (true, nil)
        }
        if isWaiting {
            doorbell.ring()
        } else {
            waiter(failure)
        }
    }

    /// Wakes the thread: tombstones or attribute records wait to be written.
    func nudge() {
        doorbell.ring()
    }

    /// From now on everything is written as soon as it can be.
    func flush() {
        state.withLock { $0.isFlushing = true }
        doorbell.ring()
    }

    /// Stops the thread after the unit under way; waiters are told.
    func stop() {
        let waiters = state.withLock { state in
            state.isClosed = true
            defer { state.waiters.removeAll() }
            return state.waiters.values.flatMap { $0 }
        }
        for waiter in waiters { waiter(CacheError(.shuttingDown, "the node is stopping")) }
        doorbell.ring()
        thread.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
    }

    private func run() {
        while !state.withLock({ $0.isClosed }) {
            guard let pause = pauseBeforeNextUnit() else {
                writeUnit()
                continue
            }
            doorbell.wait(milliseconds: pause)
        }
    }

    /// `nil`: write now. Otherwise milliseconds to sleep.
    private func pauseBeforeNextUnit() -> Int? {
        let hasRecords = disk.hasPendingRecords
        let isMuchPending = memory.pendingChanges?.isHalfFull ?? false
        let survivesKill = memory.pendingChanges != nil
        let now = clock.monotonicNanoseconds()
        return state.withLock { state in
            if !state.waiters.isEmpty { return nil }
            // Deletions that no memory file keeps would be forgotten by a kill: they wait as long as blocks do.
            let recordsSince = hasRecords ? state.recordsSince ?? now : nil
            state.recordsSince = recordsSince
            let isOverdue = recordsSince.map { !survivesKill && now &- $0 >= writeDelayNanoseconds } ?? false
            guard !state.isEmpty else {
                return hasRecords && (state.isFlushing || isMuchPending || isOverdue) ? nil : 1_000
            }
            let oldest = state.queue[state.head].since
            if state.isFlushing || isMuchPending
                || state.dirtyByteCount >= min(disk.unitByteCount, dirtyByteCountSoftMax)
                || now &- oldest >= writeDelayNanoseconds
                || state.dirtyHandles.count >= UnitPlan.blockCountMax
            {
                return nil
            }
            return min(1_000, Int((writeDelayNanoseconds - (now - oldest)) / 1_000_000) + 1)
        }
    }

    /// Takes from the queue's head until the unit is full or the queue is empty, and finishes it.
    private func writeUnit() {
        var plan = UnitPlan()
        do {
            let writer = try disk.beginUnit()
            while plan.entries.count < UnitPlan.blockCountMax, !writer.isFull, let entry = next() {
                plan.entries.append((entry.handle, entry.byteCount, entry.since))
                // Deleted or replaced meanwhile: nothing to write.
                guard let lease = memory.lease(entry.handle) else { continue }
                let header = BlockHeader(
                    identity: lease.identity,
                    keyByteCount: lease.keyBytes.count,
                    attributes: lease.attributes,
                    payloadByteCount: unsafe lease.payload.count,
                    payloadChecksum: lease.payloadChecksum
                )
                // The lease is kept until the unit is finished, so the payload cannot move.
                unsafe try writer.append(
                    header: header,
                    key: lease.keyBytes.span.bytes,
                    payload: lease.payload
                )
                catchUp(with: lease)
                plan.leases.append(lease)
            }
            let mark = memory.pendingChanges?.mark
            try writer.finish()
            // Before any block becomes clean: until then memory has what a change that is made twice might hide.
            if let mark { memory.pendingChanges?.forget(before: mark) }
            succeed(plan)
        } catch {
            fail(plan, error)
        }
    }

    private func next() -> Entry? {
        state.withLock { state in
            guard state.head < state.queue.count else { return nil }
            let entry = state.queue[state.head]
            state.head += 1
            if state.head == state.queue.count {
                state.queue.removeAll(keepingCapacity: state.queue.capacity < 65_536)
                state.head = 0
            }
            return entry
        }
    }

    private func succeed(_ plan: UnitPlan) {
        for lease in plan.leases {
            memory.markClean(lease.handle)
            packer?.offer(lease.handle)
            unsafe counters.bytesWritten.add(lease.payload.count)
        }
        watcher?.changed(plan.leases.map(\.identity))
        counters.unitsWritten.add()
        counters.blocksWritten.add(plan.leases.count)
        let (waiters, hadFailed) = state.withLock { state in
            var waiters: [DurabilityWaiter] = []
            for entry in plan.entries {
                state.dirtyByteCount -= entry.byteCount
                state.dirtyHandles.remove(entry.handle)
                if let found = state.waiters.removeValue(forKey: entry.handle) { waiters += found }
            }
            defer { state.failure = nil }
            return (waiters, state.failure != nil)
        }
        if hadFailed { memory.setDirtyEvictable(false) }
        for waiter in waiters { waiter(nil) }
        waitersForSpace.wakeAll()
    }

    /// Applies what happened to a block between the lease on it and its entry into the unit. What happens from now
    /// on finds the block in the unit.
    private func catchUp(with lease: BlockLease) {
        guard memory.handle(lease.identity) == lease.handle else {
            // Deleted, replaced or expired: the copy in the unit must not outlive it.
            _ = disk.invalidate(lease.identity)
            return
        }
        guard let current = memory.summary(lease.identity)?.attributes, current != lease.attributes else {
            return
        }
        _ = disk.update(lease.identity) { $0 = current }
    }

    private func fail(_ plan: UnitPlan, _ error: CacheError) {
        counters.writeFailures.add()
        // The memory tier goes on alone: what cannot be written may be evicted, counted, instead of refusing all puts.
        memory.setDirtyEvictable(true)
        let (waiters, isClosed) = state.withLock { state in
            let entries = plan.entries.map {
                Entry(handle: $0.handle, byteCount: $0.byteCount, since: $0.since)
            }
            state.queue.replaceSubrange(0..<state.head, with: entries)
            state.head = 0
            // Blocks that are gone need no further try.
            state.queue.removeAll { entry in
                guard !memory.holds(entry.handle) else { return false }
                state.dirtyByteCount -= entry.byteCount
                state.dirtyHandles.remove(entry.handle)
                return true
            }
            state.failure = error
            defer { state.waiters.removeAll() }
            return (state.waiters.values.flatMap { $0 }, state.isClosed)
        }
        for waiter in waiters { waiter(error) }
        waitersForSpace.wakeAll()
        guard !isClosed else { return }
        // Not the doorbell: every put rings it, and a sick disk is to be left alone for a while.
        Doorbell().wait(milliseconds: Self.retryPauseMilliseconds)
    }
}

/// What goes into one unit.
private struct UnitPlan {
    /// Blocks in a unit, so that its metadata stays small.
    static let blockCountMax = 65_536

    var entries: [(handle: BlockHandle, byteCount: Int, since: UInt64)] = []
    var leases: [BlockLease] = []
}

extension Duration {
    /// Whole nanoseconds, clamped to what fits.
    var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = UInt64(clamping: seconds).multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return .max / 2 }
        return product &+ UInt64(clamping: attoseconds / 1_000_000_000)
    }
}
