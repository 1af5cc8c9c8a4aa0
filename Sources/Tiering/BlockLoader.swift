internal import Blocks
internal import DiskTier
internal import Dispatch
internal import MemoryTier
internal import PayloadCoding
internal import Synchronization

/// Makes blocks readable that are not: brings them from disk to memory, or unpacks them there. A bounded queue, a few
/// threads, and one read however many ask.
final class BlockLoader: Sendable {
    typealias Waiter = @Sendable (BlockLease?) -> Void

    private struct Flight {
        var waiters: [Waiter] = []
        /// Set when the block is deleted meanwhile: what was read must not become visible.
        var isCancelled = false
    }

    private struct Request {
        let identity: BlockIdentity
        let key: [UInt8]
    }

    private struct State {
        var flights: [BlockIdentity: Flight] = [:]
        var queue: [Request] = []
        var head = 0
        var isClosed = false

        var queuedCount: Int { queue.count - head }
    }

    private let memory: MemoryTier
    private let disk: DiskTier?
    private let counters: StoreCounters
    private let chains: ChainPlaces
    private let packer: MemoryPacker?
    private let scratches = ScratchPool()
    private let watcher: (any BlockWatcher)?
    private let pinnedByteCountMax: Int
    private let queueCountMax: Int
    private let state = Mutex(State())
    private let readerCount: Int
    /// Counts queued requests, and once more for every thread that is to end.
    private let work = DispatchSemaphore(value: 0)
    private let threads = Mutex<[ServiceThread]>([])

    init(
        memory: MemoryTier,
        disk: DiskTier?,
        counters: StoreCounters,
        chains: ChainPlaces,
        packer: MemoryPacker?,
        pinnedByteCountMax: Int,
        configuration: StoreConfiguration
    ) {
        self.memory = memory
        self.disk = disk
        self.counters = counters
        self.chains = chains
        self.packer = packer
        watcher = configuration.watcher
        self.pinnedByteCountMax = pinnedByteCountMax
        queueCountMax = configuration.loadQueueCountMax
        readerCount = max(1, configuration.readerCount)
    }

    /// Starts the threads.
    func start() {
        threads.withLock { threads in
            threads = (0..<readerCount).map { index in
                ServiceThread(name: "larder-read-\(index)") { self.serve() }
            }
        }
    }

    /// Ends the threads after their current read; everyone who waits gets a miss.
    func stop() {
        let orphans = state.withLock { state in
            state.isClosed = true
            defer {
                state.flights.removeAll()
                state.queue.removeAll()
                state.head = 0
            }
            return state.flights.values.flatMap(\.waiters)
        }
        for waiter in orphans { waiter(nil) }
        for _ in 0..<readerCount { work.signal() }
        for thread in threads.withLock({ threads in
            defer { threads = [] }
            return threads
        }) { thread.join() }
    }

    /// Loads that are queued or under way.
    var depth: Int { state.withLock { $0.flights.count } }

    /// Starts a load, or joins the one under way. Returns false, and keeps `waiter` uncalled, when the queue is full.
    func load(_ identity: BlockIdentity, key: [UInt8], _ waiter: Waiter?) -> Bool {
        let isNew: Bool? = state.withLock { state in
            if state.flights[identity] != nil, state.flights[identity]?.isCancelled == false {
                if let waiter { state.flights[identity]?.waiters.append(waiter) }
                counters.sharedLoads.add()
                return false
            }
            guard !state.isClosed, state.queuedCount < queueCountMax, state.flights[identity] == nil else {
                return nil
            }
            state.flights[identity] = Flight(waiters: waiter.map { [$0] } ?? [])
            state.queue.append(Request(identity: identity, key: key))
            return true
        }
        guard let isNew else { return false }
        if isNew { work.signal() }
        return true
    }

    /// Keeps a read under way from becoming visible: its block was deleted or replaced.
    func cancel(_ identity: BlockIdentity) {
        state.withLock { $0.flights[identity]?.isCancelled = true }
    }

    /// The same for a whole key space.
    func cancelAll(prefix: KeyPrefix) {
        state.withLock { state in
            for identity in state.flights.keys where identity.prefix == prefix {
                state.flights[identity]?.isCancelled = true
            }
        }
    }

    private func serve() {
        while true {
            work.wait()
            let request = state.withLock { state -> Request? in
                guard state.head < state.queue.count else { return nil }
                let request = state.queue[state.head]
                state.head += 1
                if state.head > 1_024, state.head * 2 > state.queue.count {
                    state.queue.removeFirst(state.head)
                    state.head = 0
                }
                return request
            }
            // A signal without a request: the loader is closing.
            guard let request else { return }
            perform(request)
        }
    }

    private func perform(_ request: Request) {
        let lease = read(request)
        let waiters = state.withLock { $0.flights.removeValue(forKey: request.identity)?.waiters ?? [] }
        for waiter in waiters { waiter(lease) }
    }

    private func read(_ request: Request) -> BlockLease? {
        if let resident = unsafe memory.lease(request.identity, key: request.key.span.bytes) {
            return resident
        }
        if memory.isPacked(request.identity) {
            if let lease = unpack(request) { return lease }
        }
        guard let disk, let summary = disk.summary(request.identity) else { return nil }
        guard let reservation = reserve(request, byteCount: summary.payloadByteCount) else {
            counters.missesNoMemory.add()
            return nil
        }
        let header: BlockHeader?
        do {
            // SAFETY: the reservation owns exactly `payloadByteCount` bytes of the arena until it is committed.
            header = unsafe try disk.read(
                request.identity,
                key: request.key.span.bytes,
                into: reservation.payload
            )
        } catch {
            counters.missesDiskError.add()
            return nil
        }
        guard let header else { return nil }
        var attributes = disk.summary(request.identity)?.attributes ?? header.attributes
        if attributes.pinnedUntil != 0, memory.statistics().pinnedByteCount > pinnedByteCountMax {
            attributes.pinnedUntil = 0
        }
        // Under the lock that `cancel` takes: a block deleted during the read never becomes visible.
        let lease: BlockLease? = state.withLock { state in
            guard state.flights[request.identity]?.isCancelled == false else { return nil }
            // Leased in the same step: it may be the next to be evicted.
            return memory.commitLeasing(
                reservation,
                attributes: attributes,
                payloadChecksum: header.payloadChecksum,
                place: chains.take(request.identity)
            )
        }
        guard let lease else {
            // Other bytes are held under the key by now, or it is gone.
            return unsafe memory.lease(request.identity, key: request.key.span.bytes)
        }
        watcher?.arrived(request.identity, key: request.key, after: nil)
        counters.promotions.add()
        counters.promotedBytes.add(header.payloadByteCount)
        packer?.offer(lease.handle)
        return lease
    }

    /// Unpacks a block of memory, waiting a moment when all of it is held; `nil` when it is gone or damaged.
    private func unpack(_ request: Request) -> BlockLease? {
        let scratch = scratches.take()
        defer { scratches.give(scratch) }
        for attempt in 0..<Self.attemptCount {
            do throws(CacheError) {
                let lease = unsafe try memory.unpack(
                    request.identity,
                    key: request.key.span.bytes,
                    scratch: scratch
                )
                guard let lease else { break }
                counters.unpacks.add()
                packer?.offer(lease.handle)
                return lease
            } catch {
                guard attempt < Self.attemptCount - 1, !state.withLock({ $0.isClosed }) else {
                    counters.missesNoMemory.add()
                    break
                }
                Doorbell().wait(milliseconds: Self.attemptPauseMilliseconds)
            }
        }
        // Somebody else may have been faster.
        return unsafe memory.lease(request.identity, key: request.key.span.bytes)
    }

    /// Tries to take memory, and milliseconds between two.
    private static let attemptCount = 20
    private static let attemptPauseMilliseconds = 10

    /// Takes memory, waiting a moment when all of it is held.
    private func reserve(_ request: Request, byteCount: Int) -> Reservation? {
        for attempt in 0..<Self.attemptCount {
            if let reservation = unsafe try? memory.reserve(
                request.identity,
                key: request.key.span.bytes,
                payloadByteCount: byteCount
            ) {
                return reservation
            }
            guard attempt < Self.attemptCount - 1, !state.withLock({ $0.isClosed }) else { break }
            Doorbell().wait(milliseconds: Self.attemptPauseMilliseconds)
        }
        return nil
    }
}
