internal import Blocks
internal import Membership
package import Placement
internal import Synchronization
internal import Tiering

extension Cluster {
    /// Everything that is known of one member, for people and for clients that find owners themselves.
    package struct MemberReport: Sendable {
        /// What it says of itself.
        package let member: Member
        /// Whether it is this node.
        package let isOwn: Bool
        /// Whether it answers.
        package let isUp: Bool
        /// Milliseconds since it was heard; 0 for this node.
        package let silenceMilliseconds: Int
        /// Slots that it owns.
        package let slotCount: Int
    }

    /// The members as this node sees them.
    package var memberReports: [MemberReport] {
        let routing = routing
        let view = routing.view
        var slots = [Int](repeating: 0, count: view.members.count)
        for slot in UInt16(0)..<UInt16(Slot.count) {
            if let place = view.ownerPlace(of: slot) { slots[place] += 1 }
        }
        let now = now
        return view.members.enumerated().map { place, member in
            let peer = routing.peers[place]
            return MemberReport(
                member: member,
                isOwn: place == routing.ownPlace,
                isUp: peer.map { !$0.isDown } ?? true,
                silenceMilliseconds: Int(clamping: (peer?.silence(at: now) ?? 0) / 1_000_000),
                slotCount: slots[place]
            )
        }
    }

    /// Named figures of this node's part in the cluster.
    package var figures: [(name: String, value: String)] {
        let status = configuration.provider.status
        let routing = routing
        let progress = handover.progress
        return [
            ("cluster_node", own.name.description), ("cluster_state", own.state.rawValue),
            ("cluster_source", status.source), ("cluster_source_connected", status.isConnected ? "1" : "0"),
            ("cluster_source_losses", String(status.lossCount)),
            ("cluster_reregistrations", String(status.reregistrationCount)),
            ("cluster_epoch", String(routing.view.epoch)),
            ("cluster_members", String(routing.view.members.count)),
            ("cluster_members_down", String(routing.peers.count { $0?.isDown == true })),
            ("cluster_view_changes", String(counters.viewChanges.value)),
            ("cluster_deletion_catch_ups", String(counters.catchUps.value)),
            ("cluster_serves_held", mayServeHeld ? "1" : "0"),
            ("cluster_peers_lost", String(counters.peersDown.value)),
            ("cluster_peers_back", String(counters.peersUp.value)),
            ("cluster_fetched_blocks", String(counters.fetchedBlocks.value)),
            ("cluster_fetch_failures", String(counters.fetchFailures.value)),
            ("cluster_match_failures", String(counters.matchFailures.value)),
            ("cluster_gift_failures", String(counters.giftFailures.value)),
            ("cluster_relayed", String(counters.relayed.value)),
            ("cluster_relay_failures", String(counters.relayFailures.value)),
            ("cluster_handed_over_blocks", String(counters.handedOverBlocks.value)),
            ("cluster_handed_over_bytes", String(counters.handedOverBytes.value)),
            ("cluster_replicated_blocks", String(counters.replicatedBlocks.value)),
            ("cluster_handover_phase", progress.phase.rawValue),
            ("cluster_handover_seen_blocks", String(progress.seenBlockCount)),
            ("cluster_handover_held_blocks", String(progress.heldBlockCount)),
            ("cluster_handover_given_blocks", String(progress.givenBlockCount)),
            ("cluster_handover_given_bytes", String(progress.givenByteCount)),
            ("cluster_handover_failed_blocks", String(progress.failedBlockCount)),
        ]
    }

    /// Neighbouring slots of one owner, over all slots in order.
    package var slotRuns: [(slots: ClosedRange<UInt16>, owner: Member)] {
        let view = view
        var runs: [(slots: ClosedRange<UInt16>, owner: Member)] = []
        for slot in UInt16(0)..<UInt16(Slot.count) {
            guard let owner = view.owner(of: slot) else { continue }
            if let last = runs.last, last.owner.name == owner.name, last.slots.upperBound + 1 == slot {
                runs[runs.count - 1].slots = last.slots.lowerBound...slot
            } else {
                runs.append((slot...slot, owner))
            }
        }
        return runs
    }
}
