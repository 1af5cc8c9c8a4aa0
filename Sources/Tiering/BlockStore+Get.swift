package import Blocks
internal import DiskTier
package import MemoryTier
internal import Synchronization

extension BlockStore {
    /// Looks a block up without ever blocking: readable now, to be loaded, or a miss, which is counted with its reason.
    ///
    /// - Parameter provesChecksum: whether the payload is read and its checksum proved here; without, the caller does
    ///   so while it reads the payload for its own purpose, before the last byte is out of its hands, and says
    ///   ``foundCorrupt(_:in:)`` where it fails.
    package func lookup(_ space: KeySpace, key: RawSpan, provesChecksum: Bool = true) -> Lookup {
        let identity = space.identity(of: key)
        guard mayServeHeld(space) else {
            counters.missesCatchingUp.add()
            return .absent
        }
        if let lease = lease(identity, key: key, provesChecksum: provesChecksum) {
            memory.touch([lease.handle])
            countMemoryHit(lease, in: space)
            return .memory(lease)
        }
        if isLoadable(identity) || isElsewhere(key, space), admits(space) { return .stored }
        countMiss(identity, in: space)
        return .absent
    }

    /// Loads blocks from wherever they are; `completion` gets a lease or `nil` for each key, in order.
    ///
    /// Blocks in memory are leased before this returns; the others are read by the store's threads or fetched from other
    /// nodes, once however many ask, and stay in memory. `completion` is called once, on any thread, possibly before this
    /// returns.
    package func load(
        _ space: KeySpace,
        keys: KeyBatch,
        provesChecksum: Bool = true,
        _ completion: @escaping @Sendable ([BlockLease?]) -> Void
    ) {
        let gathering = Gathering(count: keys.count, completion)
        load(space, keys: keys, provesChecksum: provesChecksum) { index, lease in
            gathering.arrived(lease, at: index)
        }
    }

    /// The same, telling of each key as soon as its block is readable, or known not to be: `arrived` is called once for
    /// each key, in any order, on any thread.
    package func load(
        _ space: KeySpace,
        keys: KeyBatch,
        provesChecksum: Bool = true,
        each arrived: @escaping @Sendable (_ index: Int, BlockLease?) -> Void
    ) {
        var handles: [BlockHandle] = []
        var toLoad: [Int] = []
        var toFetch: [Int] = []
        guard mayServeHeld(space) else {
            counters.missesCatchingUp.add(keys.count)
            for index in 0..<keys.count { arrived(index, nil) }
            return
        }
        handles.reserveCapacity(keys.count)
        for index in 0..<keys.count {
            let identity = space.identity(of: keys[index])
            if let lease = lease(identity, key: keys[index], provesChecksum: provesChecksum) {
                handles.append(lease.handle)
                countMemoryHit(lease, in: space)
                arrived(index, lease)
            } else if isLoadable(identity), admits(space) {
                toLoad.append(index)
            } else if isElsewhere(keys[index], space), admits(space) {
                toFetch.append(index)
            } else {
                countMiss(identity, in: space)
                arrived(index, nil)
            }
        }
        // From tail to head: a prefix's last blocks are to go before its first.
        handles.reverse()
        memory.touch(handles)
        fetch(toFetch, of: keys, in: space, arrived)
        for index in toLoad {
            let identity = space.identity(of: keys[index])
            let isTaken = loader.load(identity, key: keys.bytes(at: index)) { [self] lease in
                if let lease {
                    countDiskHit(lease, in: space)
                } else {
                    countMiss(identity, in: space)
                }
                arrived(index, lease)
            }
            if !isTaken {
                counters.missesOverload.add()
                space.counters.misses.add()
                arrived(index, nil)
            }
        }
    }

    /// Whether what this node holds of a space may be served: a node of a cluster that was away asks for the deletions that
    /// it missed first. What other nodes ask for they check themselves.
    func mayServeHeld(_ space: KeySpace) -> Bool {
        guard space.isShared, let peers = peers.withLock({ $0 }) else { return true }
        return peers.mayServeHeld
    }

    /// Whether the block of a key that is not here may be on another node.
    private func isElsewhere(_ key: RawSpan, _ space: KeySpace) -> Bool {
        space.isShared && peers.withLock { $0 }?.role(of: key).mayBeElsewhere == true
    }

    private func fetch(
        _ indices: [Int],
        of keys: KeyBatch,
        in space: KeySpace,
        _ arrived: @escaping @Sendable (_ index: Int, BlockLease?) -> Void
    ) {
        guard !indices.isEmpty else { return }
        let wanted = indices.map { index in
            let identity = space.identity(of: keys[index])
            return PeerLoader.Wanted(identity: identity, key: keys.bytes(at: index)) { [self] lease in
                if let lease { countPeerHit(lease, in: space) } else { countMiss(identity, in: space) }
                arrived(index, lease)
            }
        }
        guard let peers = peers.withLock({ $0 }) else {
            for block in wanted { block.waiter(nil) }
            return
        }
        peerLoader.load(wanted, in: space, from: peers)
    }

    /// Whether the block is here, though not readable at once: on disk, or packed.
    private func isLoadable(_ identity: BlockIdentity) -> Bool {
        memory.isPacked(identity) || disk?.summary(identity) != nil
    }

    /// Takes a block away whose bytes in memory do not have its checksum any more.
    ///
    /// Counted as a miss for corruption, beside the hit that the look-up counted.
    package func foundCorrupt(_ lease: BlockLease, in space: KeySpace) {
        remove(corrupt: lease)
        countMiss(lease.identity, in: space)
    }

    private func remove(corrupt lease: BlockLease) {
        // By its handle: another block may have taken its place under the same key.
        memory.remove(lease.handle, reason: .corrupt)
    }

    /// A lease on a block in memory whose identity is proved, and its checksum if wanted.
    private func lease(_ identity: BlockIdentity, key: RawSpan, provesChecksum: Bool) -> BlockLease? {
        guard let lease = memory.lease(identity, key: key) else { return nil }
        guard provesChecksum else { return lease }
        guard unsafe PayloadChecksum.of(lease.payload) == lease.payloadChecksum else {
            remove(corrupt: lease)
            return nil
        }
        return lease
    }

    private func countMemoryHit(_ lease: BlockLease, in space: KeySpace) {
        counters.memoryHits.add()
        unsafe counters.memoryHitBytes.add(lease.payload.count)
        counters.hitTokens.add(Int(lease.attributes.tokenCount))
        space.counters.memoryHits.add()
        unsafe space.counters.hitBytes.add(lease.payload.count)
    }

    private func countDiskHit(_ lease: BlockLease, in space: KeySpace) {
        counters.diskHits.add()
        unsafe counters.diskHitBytes.add(lease.payload.count)
        counters.hitTokens.add(Int(lease.attributes.tokenCount))
        space.counters.diskHits.add()
        unsafe space.counters.hitBytes.add(lease.payload.count)
    }

    private func countPeerHit(_ lease: BlockLease, in space: KeySpace) {
        counters.peerHits.add()
        counters.peerHitBytes.add(lease.payloadByteCount)
        counters.hitTokens.add(Int(lease.attributes.tokenCount))
        space.counters.peerHits.add()
        space.counters.hitBytes.add(lease.payloadByteCount)
    }

    func countMiss(_ identity: BlockIdentity, in space: KeySpace) {
        space.counters.misses.add()
        switch departures.reason(identity) {
        case .evicted: counters.missesEvicted.add()
        case .expired: counters.missesExpired.add()
        case .deleted, .replaced: counters.missesDeleted.add()
        case .corrupt: counters.missesCorrupt.add()
        case .neverSeen, .memory, .disk: counters.missesNeverSeen.add()
        }
    }
}

/// Collects the leases of one batch; calls back when the last has arrived.
private final class Gathering: Sendable {
    private struct State {
        var leases: [BlockLease?]
        var missing: Int
    }

    private let state: Mutex<State>
    private let completion: @Sendable ([BlockLease?]) -> Void

    init(count: Int, _ completion: @escaping @Sendable ([BlockLease?]) -> Void) {
        state = Mutex(State(leases: Array(repeating: nil, count: count), missing: count))
        self.completion = completion
        if count == 0 { completion([]) }
    }

    func arrived(_ lease: BlockLease?, at index: Int) {
        let complete: [BlockLease?]? = state.withLock { state in
            state.leases[index] = lease
            state.missing -= 1
            return state.missing == 0 ? state.leases : nil
        }
        if let complete { completion(complete) }
    }
}
