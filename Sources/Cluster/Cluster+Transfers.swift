internal import Blocks
internal import Dispatch
internal import LarderClient
internal import MemoryTier
internal import Placement
internal import RESP
internal import Synchronization
internal import Tiering

/// What one pass over a node's blocks came to.
struct TransferPass {
    /// Whether it reached the end: the node is not stopping and no receiver went down meanwhile.
    var isWhole = true
    /// Blocks for which no node can be reached that could take them.
    var unplacedCount = 0
    /// Blocks that a receiver did not take.
    var failedCount = 0

    /// Whether nothing is left.
    var isDone: Bool { isWhole && unplacedCount == 0 && failedCount == 0 }

    mutating func add(_ other: TransferPass) {
        isWhole = isWhole && other.isWhole
        unplacedCount += other.unplacedCount
        failedCount += other.failedCount
    }
}

/// Blocks from node to node, in rounds of bounded size: the same for joins, drains and second copies. Blocks the thread.
extension Cluster {
    /// Blocks that are asked for at the same time, and that are sent at the same time.
    private static let stepKeyCount = 256
    private static let underWayCountMax = 16
    /// Blocks that one round looks for before it sends them: bounds the memory of a survey.
    private static let roundCountMax = 65_536
    /// Reads of a block before it counts as hot: hot ones are sent before the others.
    private static let hotReadCount: UInt32 = 4

    /// A block that may be sent, found by a survey.
    struct Candidate {
        let space: KeySpace
        let key: [UInt8]
        let hits: UInt32
        /// Until when it is pinned, milliseconds since 1970; 0 not.
        var pinnedUntil: UInt64 = 0
    }

    /// What becomes of a block here when another node has it.
    enum Afterwards {
        /// That node keeps it from now on: what is here is a copy, and not pinned.
        case becomesCopy
        /// This node goes on to keep it.
        case staysKept
    }

    /// Sends every block whose slot has a receiver, those of memory first and of these the hottest.
    ///
    /// - Parameter countsUnplaced: whether blocks that this node keeps and nobody can take are counted.
    func handOver(countsUnplaced: Bool = false, _ receiver: (UInt16) -> Peer?) -> TransferPass {
        handover.note { $0.phase = .giving }
        var pass = TransferPass()
        for isHot in [true, false] {
            for space in describedSpaces {
                var cursor: UInt64 = 0
                repeat {
                    var found: [Candidate] = []
                    while found.count < Self.roundCountMax, !isStopping {
                        cursor = store.surveyMemory(space, from: cursor, count: 4_096) {
                            key,
                            hits,
                            summary,
                            isCopy in
                            guard (hits >= Self.hotReadCount) == isHot else { return }
                            guard unsafe receiver(Slot.of(key.span.bytes)) != nil else {
                                if countsUnplaced, !isCopy { pass.unplacedCount += 1 }
                                return
                            }
                            let pinnedUntil = summary.attributes.pinnedUntil
                            found.append(
                                Candidate(space: space, key: key, hits: hits, pinnedUntil: pinnedUntil)
                            )
                        }
                        if cursor == 0 { break }
                    }
                    found.sort { $0.hits > $1.hits }
                    pass.add(send(found, .becomesCopy, receiver))
                    guard pass.isWhole, !isStopping else { return interrupted(pass) }
                } while cursor != 0
            }
        }
        for space in describedSpaces {
            var place: BlockStore.SurveyPlace? = .disk(0)
            while let from = place {
                guard !isStopping else { return interrupted(pass) }
                var found: [Candidate] = []
                place = store.survey(space, from: from, count: 1_024) { identity, key in
                    guard unsafe receiver(Slot.of(key.span.bytes)) != nil else {
                        // What memory has too was counted there.
                        if countsUnplaced, !store.residence(of: identity).isInMemory {
                            pass.unplacedCount += 1
                        }
                        return
                    }
                    let pinnedUntil = store.pinnedUntil(identity)
                    found.append(Candidate(space: space, key: key, hits: 0, pinnedUntil: pinnedUntil))
                }
                pass.add(send(found, .becomesCopy, receiver))
                guard pass.isWhole else { return pass }
            }
        }
        return isStopping ? interrupted(pass) : pass
    }

    private func interrupted(_ pass: TransferPass) -> TransferPass {
        var pass = pass
        pass.isWhole = false
        return pass
    }

    /// The spaces that blocks are sent of: plain keys are not, since they may be replaced meanwhile.
    var describedSpaces: [KeySpace] {
        tenants.flatMap { tenant in
            store.descriptions.compactMap { store.space(tenant: tenant, namespace: $0.id)?.onThisNode }
        }
    }

    /// Sends blocks to the receivers of their slots.
    func send(_ candidates: [Candidate], _ afterwards: Afterwards, _ receiver: (UInt16) -> Peer?)
        -> TransferPass
    {
        var pass = TransferPass()
        var groups: [ObjectIdentifier: (peer: Peer, space: KeySpace, candidates: [Candidate])] = [:]
        func flush(_ id: ObjectIdentifier) {
            guard let group = groups.removeValue(forKey: id) else { return }
            pass.add(send(group.candidates, of: group.space, to: group.peer, afterwards))
        }
        for candidate in candidates {
            guard !isStopping else { return interrupted(pass) }
            guard let peer = unsafe receiver(Slot.of(candidate.key.span.bytes)) else { continue }
            let id = ObjectIdentifier(peer)
            if let group = groups[id],
                group.space !== candidate.space || group.candidates.count >= Self.stepKeyCount
            {
                flush(id)
                guard pass.isWhole else { return pass }
            }
            groups[id, default: (peer, candidate.space, [])].candidates.append(candidate)
        }
        for id in Array(groups.keys) { flush(id) }
        return pass
    }

    /// Sends blocks of one space to one node: asks which it has, then sends the others, some at a time.
    private func send(
        _ candidates: [Candidate],
        of space: KeySpace,
        to peer: Peer,
        _ afterwards: Afterwards
    ) -> TransferPass {
        guard !peer.isDown else { return TransferPass(isWhole: false) }
        var keys = KeyBatch(keyCapacity: candidates.count, byteCapacity: candidates.count * 48)
        for candidate in candidates { unsafe keys.append(candidate.key.span.bytes) }
        handover.note { $0.seenBlockCount += candidates.count }
        guard let isHeld = ask(peer, whichOf: keys, in: space) else { return TransferPass(isWhole: false) }
        let room = DispatchSemaphore(value: Self.underWayCountMax)
        let rest = DispatchGroup()
        let failures = Counter()
        for (index, candidate) in candidates.enumerated() {
            guard !isHeld[index] else {
                handover.note { $0.heldBlockCount += 1 }
                let identity = space.identity(of: keys[index])
                rest.enter()
                // What it keeps already it keeps as firmly as this node did.
                renewPin(candidate, at: peer) { [store] isPinned in
                    if !isPinned { failures.add() }
                    if isPinned, afterwards == .becomesCopy { store.becameCopy(identity) }
                    rest.leave()
                }
                continue
            }
            guard !isStopping, !peer.isDown else { break }
            room.wait()
            rest.enter()
            send(candidate, of: space, to: peer, afterwards) { isDone in
                if !isDone { failures.add() }
                room.signal()
                rest.leave()
            }
        }
        rest.wait()
        return TransferPass(isWhole: !peer.isDown && !isStopping, failedCount: failures.value)
    }

    private func send(
        _ candidate: Candidate,
        of space: KeySpace,
        to peer: Peer,
        _ afterwards: Afterwards,
        _ completion: @escaping @Sendable (_ isDone: Bool) -> Void
    ) {
        var one = KeyBatch()
        unsafe one.append(candidate.key.span.bytes)
        let identity = space.identity(of: one[0])
        let wasInMemory = store.residence(of: identity).isInMemory
        store.load(space, keys: one) { [self] leases in
            guard let lease = leases.first.flatMap(\.self) else {
                // Deleted or evicted since it was seen: there is nothing to send.
                let residence = store.residence(of: identity)
                let isGone = !residence.isInMemory && !residence.isOnDisk
                if !isGone { handover.note { $0.failedBlockCount += 1 } }
                return completion(isGone)
            }
            give(lease, key: candidate.key, in: space, to: peer) { [self] outcome in
                let byteCount = lease.payloadByteCount
                handover.note { progress in
                    if outcome == .taken {
                        progress.givenBlockCount += 1
                        progress.givenByteCount += byteCount
                    } else if outcome != .deleted, outcome != .conflict {
                        progress.failedBlockCount += 1
                    }
                }
                switch outcome {
                case .taken:
                    counters.handedOverBlocks.add()
                    counters.handedOverBytes.add(byteCount)
                    if afterwards == .becomesCopy { store.becameCopy(identity) }
                case .deleted:
                    _ = store.apply(
                        DeletionRecord(
                            tenant: space.tenant,
                            namespace: space.namespace,
                            key: candidate.key,
                            deletedAt: lease.attributes.createdAt
                        )
                    )
                case .conflict: if afterwards == .becomesCopy { store.drop(identity) }
                case .own, .failed: break
                }
                // What was only on disk was brought to memory for this: it is not to push out what is read there.
                if !wasInMemory { store.evictAgain(lease) }
                completion(outcome == .taken || outcome == .deleted || outcome == .conflict)
            }
        }
    }

    /// Pins a block that another node has as it is pinned here; true also for one that is not.
    private func renewPin(
        _ candidate: Candidate,
        at peer: Peer,
        _ completion: @escaping @Sendable (_ isPinned: Bool) -> Void
    ) {
        let now = clock.unixMilliseconds()
        guard candidate.pinnedUntil > now else { return completion(true) }
        let options =
            candidate.pinnedUntil == .max
            ? [] : ["TTL", String(min(candidate.pinnedUntil - now, Self.pinMillisecondsMax))]
        let keys = KeyBatch(validated: [candidate.key])
        peer.link.ask(
            PeerRequest.keys("KV.PIN", candidate.space, options, keys, [0]),
            timeout: configuration.storeTimeout
        ) { result in
            guard case .success(let reply) = result else { return completion(false) }
            completion(reply.elements?.first?.integer == 1)
        }
    }

    /// Longest pin that one node asks another for, milliseconds: what KV.PIN takes.
    private static let pinMillisecondsMax: UInt64 = 10 * 366 * 86_400_000

    /// Which of some keys a node has; `nil` when it does not say.
    func ask(_ peer: Peer, whichOf keys: KeyBatch, in space: KeySpace) -> [Bool]? {
        let answer = HeldAnswer()
        let done = DispatchSemaphore(value: 0)
        peer.link.ask(
            PeerRequest.keys("KV.HELD", space, ["KEPT"], keys, Array(0..<keys.count)),
            timeout: configuration.storeTimeout,
            asksBreaker: false
        ) { result in
            if case .success(let reply) = result {
                answer.isHeld.withLock { $0 = Self.holding(reply, count: keys.count)?.isHeld }
            }
            done.signal()
        }
        done.wait()
        return answer.isHeld.withLock { $0 }
    }
}

/// What another node answered, from its thread to the one that waits.
private final class HeldAnswer: Sendable {
    let isHeld = Mutex<[Bool]?>(nil)
}
