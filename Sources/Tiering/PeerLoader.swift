internal import Blocks
internal import MemoryTier
internal import Synchronization

/// Brings blocks from other nodes into memory: one fetch however many ask. What arrives is kept as a near copy, which
/// leaves by the eviction policy like any other block and is not written to this node's disk.
final class PeerLoader: Sendable {
    typealias Waiter = @Sendable (BlockLease?) -> Void

    private struct Flight {
        var waiters: [Waiter]
        /// Set when the block is deleted meanwhile: what arrives must not become visible.
        var isCancelled = false
    }

    private struct State {
        var flights: [BlockIdentity: Flight] = [:]
        var isClosed = false
    }

    /// A key that somebody waits for.
    struct Wanted {
        let identity: BlockIdentity
        let key: [UInt8]
        let waiter: Waiter
    }

    private let memory: MemoryTier
    private let counters: StoreCounters
    private let chains: ChainPlaces
    private let deletions: DeletionLog?
    private let watcher: (any BlockWatcher)?
    private let flightCountMax: Int
    private let state = Mutex(State())

    init(
        memory: MemoryTier,
        counters: StoreCounters,
        chains: ChainPlaces,
        deletions: DeletionLog?,
        configuration: StoreConfiguration
    ) {
        self.deletions = deletions
        self.memory = memory
        self.counters = counters
        self.chains = chains
        watcher = configuration.watcher
        flightCountMax = configuration.loadQueueCountMax
    }

    /// Blocks under way.
    var depth: Int { state.withLock { $0.flights.count } }

    /// Fetches blocks, or joins the fetches under way; each waiter is called once, on any thread.
    func load(_ wanted: [Wanted], in space: KeySpace, from peers: any PeerTier) {
        var batch: [(identity: BlockIdentity, key: [UInt8])] = []
        var refused: [Waiter] = []
        var arrived: [(waiter: Waiter, lease: BlockLease)] = []
        state.withLock { state in
            for block in wanted {
                // A flight may have ended since the caller looked.
                if state.flights[block.identity] == nil,
                    let lease = unsafe memory.lease(block.identity, key: block.key.span.bytes)
                {
                    arrived.append((block.waiter, lease))
                } else if state.flights[block.identity]?.isCancelled == false {
                    state.flights[block.identity]?.waiters.append(block.waiter)
                    counters.sharedPeerLoads.add()
                } else if state.isClosed || state.flights.count >= flightCountMax
                    || state.flights[block.identity] != nil
                {
                    refused.append(block.waiter)
                } else {
                    state.flights[block.identity] = Flight(waiters: [block.waiter])
                    batch.append((block.identity, block.key))
                }
            }
        }
        for (waiter, lease) in arrived { waiter(lease) }
        if !refused.isEmpty {
            counters.missesOverload.add(refused.count)
            for waiter in refused { waiter(nil) }
        }
        guard !batch.isEmpty else { return }
        var keys = KeyBatch(keyCapacity: batch.count, byteCapacity: batch.count * 48)
        for block in batch { unsafe keys.append(block.key.span.bytes) }
        peers.fetch(space, keys: keys, into: Arrivals(batch, loader: self))
    }

    /// Keeps a fetch under way from becoming visible: its block was deleted.
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

    /// Everyone who waits gets a miss; what arrives later is dropped.
    func stop() {
        let orphans = state.withLock { state in
            state.isClosed = true
            defer { state.flights.removeAll() }
            return state.flights.values.flatMap(\.waiters)
        }
        for waiter in orphans { waiter(nil) }
    }

    fileprivate func reserve(_ identity: BlockIdentity, key: [UInt8], byteCount: Int) -> Reservation? {
        guard state.withLock({ $0.flights[identity]?.isCancelled == false }) else { return nil }
        // A connection's thread asks: it does not wait for space. What is needed more than a near copy stays.
        guard
            let reservation = unsafe try? memory.reserve(
                identity,
                key: key.span.bytes,
                payloadByteCount: byteCount
            )
        else {
            counters.missesNoMemory.add()
            return nil
        }
        return reservation
    }

    fileprivate func arrived(_ reservation: Reservation, key: [UInt8], _ summary: BlockSummary) {
        let identity = reservation.identity
        guard
            unsafe PayloadChecksum.of(UnsafeRawBufferPointer(reservation.payload)) == summary.payloadChecksum
        else {
            counters.corruptPeer.add()
            return end(identity, nil)
        }
        // Under the lock that `cancel` takes: a block deleted during the fetch never becomes visible.
        var attributes = summary.attributes
        attributes.pinnedUntil = 0
        let lease: BlockLease? = state.withLock { state in
            guard state.flights[identity]?.isCancelled == false else { return nil }
            // It was read at a node that had not heard of the deletion yet.
            guard deletions?.covers(identity, createdAt: attributes.createdAt) != true else {
                counters.refusedDeleted.add()
                return nil
            }
            return memory.commitLeasing(
                reservation,
                attributes: attributes,
                payloadChecksum: summary.payloadChecksum,
                place: chains.take(identity),
                isNear: true
            )
        }
        if let lease {
            counters.peerLoads.add()
            counters.peerLoadedBytes.add(summary.payloadByteCount)
            watcher?.arrived(identity, key: key, after: nil)
            return end(identity, lease)
        }
        // Other bytes are held under the key by now, or it was deleted.
        end(identity, unsafe memory.lease(identity, key: key.span.bytes))
    }

    fileprivate func end(_ identity: BlockIdentity, _ lease: BlockLease?) {
        let flight = state.withLock { $0.flights.removeValue(forKey: identity) }
        let readable = flight?.isCancelled == true ? nil : lease
        for waiter in flight?.waiters ?? [] { waiter(readable) }
    }
}

/// The blocks of one fetch, on their way into memory.
private final class Arrivals: PeerReceiver {
    private let blocks: [(identity: BlockIdentity, key: [UInt8])]
    private let loader: PeerLoader
    private let reservations = Mutex<[Int: Reservation]>([:])

    init(_ blocks: [(identity: BlockIdentity, key: [UInt8])], loader: PeerLoader) {
        self.blocks = blocks
        self.loader = loader
    }

    func region(at index: Int, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        let block = blocks[index]
        guard let reservation = loader.reserve(block.identity, key: block.key, byteCount: byteCount) else {
            return nil
        }
        reservations.withLock { $0[index] = reservation }
        return unsafe reservation.payload
    }

    func arrived(_ index: Int, _ summary: BlockSummary) {
        guard let reservation = reservations.withLock({ $0.removeValue(forKey: index) }),
            reservation.payloadByteCount == summary.payloadByteCount
        else { return loader.end(blocks[index].identity, nil) }
        loader.arrived(reservation, key: blocks[index].key, summary)
    }

    func missed(_ index: Int) {
        _ = reservations.withLock { $0.removeValue(forKey: index) }
        loader.end(blocks[index].identity, nil)
    }
}
