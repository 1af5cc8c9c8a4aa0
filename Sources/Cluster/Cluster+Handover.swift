internal import Blocks
internal import Dispatch
internal import LarderClient
internal import Logging
internal import MemoryTier
internal import Placement
internal import RESP
internal import Synchronization
internal import Tiering

/// Changes of the cluster: a node that joins is given what the others hold of its slots, a node that drains gives away
/// what it holds, and pinned and hot blocks get a second copy. One thread does all of it, and may block.
extension Cluster {
    /// Blocks that are asked for, and given, at the same time.
    private static let stepKeyCount = 256
    private static let underWayCountMax = 16

    /// The thread that does the work.
    func work() {
        let startedAt = now
        var replicas = ReplicaMemory()
        var owned = [Bool](repeating: false, count: Slot.count)
        var epoch: UInt64 = 0
        while !isStopping {
            let view = view
            if view.epoch != epoch {
                let ownedNow = ownedSlots(view)
                forgetPlainKeys(of: zip(owned, ownedNow).map { $0 && !$1 })
                (owned, epoch) = (ownedNow, view.epoch)
            }
            if placeWasLostNow.exchange(false, ordering: .relaxed) {
                forgetPlainKeys(of: Array(repeating: true, count: Slot.count))
            }
            switch own.state {
            case .joining: settleIn(view, startedAt: startedAt)
            case .draining: drainStep(view)
            case .active: break
            }
            for member in view.members where member.state == .joining && member.name != own.name {
                serve(member, view)
            }
            for name in handover.takeDue(at: now) { lookAgain(after: name) }
            if configuration.replicaCount > 1, own.state == .active { replicate(&replicas) }
            workBell.wait(milliseconds: 500)
        }
    }

    // MARK: Joining

    /// Becomes active once all others have handed over what they held, or can not.
    private func settleIn(_ view: ClusterView, startedAt: UInt64) {
        let routing = routing
        let awaited = routing.view.members.enumerated().filter { place, member in
            member.name != own.name && member.state != .joining && routing.peers[place]?.isDown == false
        }
        let handedOver = state.withLock { $0.handedOver }
        let isLate = now &- startedAt > configuration.joinTimeout.wholeNanoseconds
        let othersAreKnown = routing.peers.allSatisfy { $0 == nil || $0?.report != nil || $0?.isDown == true }
        guard isLate || othersAreKnown && awaited.allSatisfy({ handedOver.contains($0.element.name) }) else {
            return
        }
        if isLate { logger.warning("joined without what other nodes did not hand over in time") }
        become(.active)
    }

    /// Another node says that it has handed over what it held of this node's slots.
    package func handedOver(by name: String) {
        guard let name = NodeName(name) else { return }
        state.withLock { _ = $0.handedOver.insert(name) }
        workBell.ring()
    }

    /// Gives a joining node the blocks of its slots that this node holds.
    private func serve(_ member: Member, _ view: ClusterView) {
        guard !handover.isServed(member), let peer = state.withLock({ $0.peers[member.name] }), !peer.isDown,
            own.state != .joining
        else { return }
        logger.info("handing over to a node that joins", metadata: ["node": "\(member.name)"])
        handover.note { $0 = HandoverProgress() }
        let ownName = own.name
        let isWhole = handOver { slot in
            // By the view of the moment: it may have changed again.
            let view = self.view
            guard view.holder(of: slot)?.name == ownName, view.owner(of: slot)?.name == member.name else {
                return nil
            }
            return peer
        }
        guard isWhole else { return }
        let done = DispatchSemaphore(value: 0)
        let told = Told()
        var encoder = RequestEncoder()
        encoder.begin(argumentCount: 2)
        encoder.append("KV.PEER")
        encoder.append("HANDED")
        peer.link.ask(encoder.finish(), timeout: configuration.storeTimeout, asksBreaker: false) { result in
            if case .success = result { told.value.store(true, ordering: .relaxed) }
            done.signal()
        }
        done.wait()
        guard told.value.load(ordering: .relaxed) else { return }
        handover.served(member)
        let progress = handover.progress
        handover.note { $0.phase = .idle }
        handover.lookAgain(after: member.name, at: now &+ Self.lateNanoseconds)
        logger.info(
            "handed over",
            metadata: [
                "node": "\(member.name)", "given": "\(progress.givenBlockCount)",
                "held_already": "\(progress.heldBlockCount)", "failed": "\(progress.failedBlockCount)",
            ]
        )
    }

    /// Gives a node what came here for it after it had been served: other nodes learn of a change a moment later.
    private func lookAgain(after name: NodeName) {
        guard let peer = state.withLock({ $0.peers[name] }), own.state == .active else { return }
        _ = handOver { slot in self.view.owner(of: slot)?.name == name ? peer : nil }
        handover.note { $0.phase = .idle }
    }

    /// How much later that is, nanoseconds.
    private static let lateNanoseconds: UInt64 = 2_000_000_000

    // MARK: Draining

    /// Begins to drain: this node takes no new blocks, gives what it holds to the next owners and then leaves.
    package func drain() {
        guard own.state != .draining else { return }
        handover.note { $0 = HandoverProgress() }
        become(.draining)
        workBell.ring()
    }

    /// How far a drain is.
    package var drainProgress: HandoverProgress { handover.progress }

    private func drainStep(_ view: ClusterView) {
        guard handover.progress.phase != .done, view.members.contains(where: { $0.name == own.name }) else {
            return
        }
        // The others must know first, or they would go on to put blocks here.
        guard routing.peers.allSatisfy({ $0 == nil || $0?.isDown == true || $0?.told == .draining }) else {
            return bell.ring()
        }
        // Twice: what was under way when they learnt it comes with the second look.
        let isWhole = (0..<2).allSatisfy { _ in handOver { slot in self.routing.route(slot).owner } }
        guard isWhole, !isStopping else { return }
        handover.note { $0.phase = .done }
        let progress = handover.progress
        logger.notice(
            "drained",
            metadata: [
                "given": "\(progress.givenBlockCount)", "bytes": "\(progress.givenByteCount)",
                "held_already": "\(progress.heldBlockCount)", "failed": "\(progress.failedBlockCount)",
            ]
        )
    }

    // MARK: Giving blocks away

    /// A block that may be given, found by a survey.
    private struct Candidate {
        let space: KeySpace
        let key: [UInt8]
        let hits: UInt32
    }

    /// Gives every block whose slot has a receiver, those of memory first and of these the hottest; false when it was
    /// interrupted or a receiver went down.
    private func handOver(_ receiver: (UInt16) -> Peer?) -> Bool {
        handover.note { $0.phase = .giving }
        var inMemory: [Candidate] = []
        for space in describedSpaces {
            store.surveyMemory(space) { key, hits, _ in
                if unsafe receiver(Slot.of(key.span.bytes)) != nil {
                    inMemory.append(Candidate(space: space, key: key, hits: hits))
                }
            }
        }
        inMemory.sort { $0.hits > $1.hits }
        guard give(inMemory, receiver) else { return false }
        inMemory = []
        for space in describedSpaces {
            var place: BlockStore.SurveyPlace? = .disk(0)
            while let from = place, !isStopping {
                var found: [Candidate] = []
                place = store.survey(space, from: from, count: 1_024) { _, key in
                    found.append(Candidate(space: space, key: key, hits: 0))
                }
                guard give(found.filter { unsafe receiver(Slot.of($0.key.span.bytes)) != nil }, receiver)
                else {
                    return false
                }
            }
        }
        return !isStopping
    }

    /// The spaces that blocks are handed over of: plain keys are not, since they may be replaced meanwhile.
    var describedSpaces: [KeySpace] {
        tenants.flatMap { tenant in
            store.descriptions.compactMap { store.space(tenant: tenant, namespace: $0.id)?.onThisNode }
        }
    }

    private func give(_ candidates: [Candidate], _ receiver: (UInt16) -> Peer?) -> Bool {
        var groups: [ObjectIdentifier: (peer: Peer, space: KeySpace, candidates: [Candidate])] = [:]
        func flush(_ id: ObjectIdentifier) -> Bool {
            guard let group = groups.removeValue(forKey: id) else { return true }
            return give(group.candidates, of: group.space, to: group.peer)
        }
        for candidate in candidates {
            guard !isStopping else { return false }
            guard let peer = unsafe receiver(Slot.of(candidate.key.span.bytes)) else { continue }
            let id = ObjectIdentifier(peer)
            if let group = groups[id],
                group.space !== candidate.space || group.candidates.count >= Self.stepKeyCount
            {
                guard flush(id) else { return false }
            }
            groups[id, default: (peer, candidate.space, [])].candidates.append(candidate)
        }
        for id in Array(groups.keys) { guard flush(id) else { return false } }
        return true
    }

    /// Gives blocks of one space to one node: asks which it has, then sends the others, some at a time.
    private func give(_ candidates: [Candidate], of space: KeySpace, to peer: Peer) -> Bool {
        guard !peer.isDown else { return false }
        var keys = KeyBatch(keyCapacity: candidates.count, byteCapacity: candidates.count * 48)
        for candidate in candidates { unsafe keys.append(candidate.key.span.bytes) }
        handover.note { $0.seenBlockCount += candidates.count }
        guard let isHeld = ask(peer, whichOf: keys, in: space) else { return false }
        let room = DispatchSemaphore(value: Self.underWayCountMax)
        let rest = DispatchGroup()
        for index in candidates.indices {
            guard !isHeld[index] else {
                handover.note { $0.heldBlockCount += 1 }
                continue
            }
            guard !isStopping, !peer.isDown else { break }
            room.wait()
            rest.enter()
            let key = candidates[index].key
            var one = KeyBatch()
            unsafe one.append(key.span.bytes)
            store.load(space, keys: one) { [self] leases in
                guard let lease = leases.first.flatMap(\.self) else {
                    handover.note { $0.failedBlockCount += 1 }
                    room.signal()
                    return rest.leave()
                }
                give(lease, key: key, in: space, to: peer) { [self] outcome in
                    let byteCount = lease.payloadByteCount
                    handover.note { progress in
                        if outcome == .taken {
                            progress.givenBlockCount += 1
                            progress.givenByteCount += byteCount
                        } else {
                            progress.failedBlockCount += 1
                        }
                    }
                    if outcome == .taken {
                        counters.handedOverBlocks.add()
                        counters.handedOverBytes.add(byteCount)
                    }
                    room.signal()
                    rest.leave()
                }
            }
        }
        rest.wait()
        return !peer.isDown && !isStopping
    }

    /// Which of some keys a node has; `nil` when it does not say.
    func ask(_ peer: Peer, whichOf keys: KeyBatch, in space: KeySpace) -> [Bool]? {
        let answer = Answer()
        let done = DispatchSemaphore(value: 0)
        peer.link.ask(
            PeerRequest.keys("KV.HELD", space, ["KEPT"], keys, Array(0..<keys.count)),
            timeout: configuration.storeTimeout,
            asksBreaker: false
        ) { result in
            if case .success(let reply) = result {
                answer.isHeld.withLock { $0 = Self.held(reply, keys.count) }
            }
            done.signal()
        }
        done.wait()
        return answer.isHeld.withLock { $0 }
    }

    private static func held(_ reply: Reply, _ count: Int) -> [Bool]? {
        holding(reply, count: count)?.isHeld
    }

    // MARK: Second copies

    /// Gives pinned and hot blocks of this node's slots to the nodes that would follow it.
    private func replicate(_ memory: inout ReplicaMemory) {
        let now = now
        let view = view
        guard memory.isDue(now: now, epoch: view.epoch) else { return }
        let unixNow = clock.unixMilliseconds()
        let ownName = own.name
        let routing = routing
        var candidates: [Candidate] = []
        for space in describedSpaces {
            func consider(_ key: [UInt8], hits: UInt32) {
                let slot = unsafe Slot.of(key.span.bytes)
                guard view.owner(of: slot)?.name == ownName, memory.isNew(key, space, epoch: view.epoch)
                else { return }
                candidates.append(Candidate(space: space, key: key, hits: hits))
            }
            store.surveyMemory(space) { key, hits, summary in
                if summary.attributes.pinnedUntil > unixNow { consider(key, hits: hits) }
            }
            for prefix in store.hottestPrefixes(space, limit: 64) where prefix.hits >= Self.hotHitCount {
                for key in prefix.keys { consider(key, hits: UInt32(clamping: prefix.hits)) }
            }
        }
        guard !candidates.isEmpty else { return }
        let before = handover.progress
        let isWhole = give(candidates) { slot in
            view.ownerPlace(of: slot, rank: 1).flatMap { routing.peers[$0] }
        }
        counters.replicatedBlocks.add(handover.progress.givenBlockCount - before.givenBlockCount)
        if !isWhole { memory.forget() }
    }

    /// Matches that end in a prefix before it counts as hot.
    private static let hotHitCount = 8
}

/// Which blocks have their second copy already, so that they are not looked for again every few seconds.
private struct ReplicaMemory {
    private var known: Set<[UInt8]> = []
    private var epoch: UInt64 = 0
    private var nextAt: UInt64 = 0

    private static let pauseNanoseconds: UInt64 = 2_000_000_000
    private static let knownCountMax = 262_144

    mutating func isDue(now: UInt64, epoch: UInt64) -> Bool {
        if epoch != self.epoch { forget() }
        self.epoch = epoch
        guard now >= nextAt else { return false }
        nextAt = now &+ Self.pauseNanoseconds
        return true
    }

    mutating func isNew(_ key: [UInt8], _ space: KeySpace, epoch: UInt64) -> Bool {
        if known.count >= Self.knownCountMax { known.removeAll() }
        var name = Array(space.tenant.name.utf8)
        name.append(0)
        name += space.namespace.bytes
        return known.insert(name + key).inserted
    }

    mutating func forget() { known.removeAll() }
}

/// What another node answered, from its thread to the one that waits.
private final class Answer: Sendable {
    let isHeld = Mutex<[Bool]?>(nil)
}

/// Whether another node has heard.
private final class Told: Sendable {
    let value = Atomic<Bool>(false)
}
