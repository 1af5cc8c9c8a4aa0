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
                forgetPlainKeys(of: Array(repeating: false, count: Slot.count))
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
        if isLate {
            logger.warning("joined without what other nodes did not hand over in time; they are asked for it")
            state.withLock { $0.joinedIncomplete = true }
        }
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
        let pass = handOver { slot in
            // By the view of the moment: it may have changed again.
            let view = self.view
            guard view.holder(of: slot)?.name == ownName, view.owner(of: slot)?.name == member.name else {
                return nil
            }
            return peer
        }
        guard pass.isWhole else { return }
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

    /// A drain is done when a whole pass found a receiver for every block and none of them was refused; until then it is
    /// tried again, and says what is left.
    private func drainStep(_ view: ClusterView) {
        guard handover.progress.phase != .done, view.members.contains(where: { $0.name == own.name }) else {
            return
        }
        // The others must know first, or they would go on to put blocks here.
        guard routing.peers.allSatisfy({ $0 == nil || $0?.isDown == true || $0?.told == .draining }) else {
            return bell.ring()
        }
        var pass = drainPass()
        // Once more: what was under way when they learnt it comes with the second look.
        if pass.isDone { pass = drainPass() }
        if pass.isDone {
            // And what clients put here until now; from here on they are sent to other nodes.
            store.refusePuts()
            _ = store.finishTransfers(within: configuration.durableTimeout)
            pass = drainPass()
        }
        guard !isStopping, pass.isWhole || pass.unplacedCount > 0 || pass.failedCount > 0 else { return }
        handover.note { progress in
            progress.phase = pass.isDone ? .done : .incomplete
            progress.unplacedBlockCount = pass.unplacedCount
            progress.unfinishedBlockCount = pass.failedCount
        }
        guard pass.isDone else {
            logger.warning(
                "the drain is not done, and goes on: some blocks have no node to go to, or were not taken",
                metadata: ["without_receiver": "\(pass.unplacedCount)", "not_taken": "\(pass.failedCount)"]
            )
            return workBell.wait(milliseconds: 1_500)
        }
        let progress = handover.progress
        logger.notice(
            "drained",
            metadata: [
                "given": "\(progress.givenBlockCount)", "bytes": "\(progress.givenByteCount)",
                "held_already": "\(progress.heldBlockCount)", "failed": "\(progress.failedBlockCount)",
            ]
        )
    }

    private func drainPass() -> TransferPass {
        handOver(countsUnplaced: true) { slot in
            // The first other node of the slot: one that is down takes nothing, and the next may.
            self.routing.route(slot).owner
        }
    }
}

/// Whether another node has heard.
private final class Told: Sendable {
    let value = Atomic<Bool>(false)
}
