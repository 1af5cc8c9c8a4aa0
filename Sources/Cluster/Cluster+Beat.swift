internal import Blocks
internal import LarderClient
internal import Logging
internal import Membership
internal import Placement
internal import RESP
internal import Synchronization
internal import Tiering

/// Heartbeats: each other node is asked now and then whether it is there, and what it says of itself.
extension Cluster {
    /// The thread that asks.
    func beat() {
        while !isStopping {
            for peer in peers { beat(peer) }
            bell.wait(milliseconds: Int(clamping: configuration.heartbeatInterval.wholeMilliseconds))
        }
    }

    private func beat(_ peer: Peer) {
        let own = own
        let arguments = [
            "KV.PEER", "BEAT", own.state.rawValue, String(own.weight), String(Int64(bitPattern: own.run)),
        ]
        var encoder = RequestEncoder()
        encoder.begin(argumentCount: arguments.count)
        for argument in arguments { encoder.append(argument) }
        // Whatever the breaker says: this is how a node is found to be back.
        peer.link.ask(
            encoder.finish(),
            timeout: configuration.silenceMax,
            asksBreaker: false
        ) { [weak self] result in
            if case .success = result { peer.hasBeenTold(own.state) }
            self?.beatEnded(peer, result)
        }
    }

    private func beatEnded(_ peer: Peer, _ result: Result<Reply, LarderClientError>) {
        switch result {
        case .success(let reply):
            guard let report = PeerReport(reply) else { return lost(peer, wasRefused: false) }
            let isNews = peer.report != report
            runMayHaveChanged(of: peer, to: report)
            heardOfDeletions(of: peer, reply)
            if let parts = reply.elements, parts.count >= 8, parts[6].integer == 0,
                let revision = parts[7].integer, revision > 0
            {
                stepAside(for: peer, revision: UInt64(revision))
            }
            if peer.heard(report, at: now) {
                counters.peersUp.add()
                logger.notice("a node is back", metadata: ["node": "\(peer.name)"])
                if peer.wasStoodInFor.exchange(false, ordering: .relaxed) {
                    handover.lookAgain(after: peer.name, at: now)
                    workBell.ring()
                }
            }
            if isNews { rebuild() }
        case .failure(let error):
            lost(peer, wasRefused: error.code == .unreachable)
        }
    }

    /// A heartbeat was answered, so every deletion until then was sent here too, unless the answer says otherwise.
    private func heardOfDeletions(of peer: Peer, _ reply: Reply) {
        guard let parts = reply.elements, parts.count >= 6, let theirs = parts[3].integer, theirs >= 0,
            let missed = parts[4].integer, let logID = parts[5].integer
        else { return }
        let hasGap = peer.contact.answered(
            theirs: UInt64(theirs),
            saysMissed: missed != 0,
            at: now,
            limit: contactLimit
        )
        if hasGap { deletionBell.ring() } else { peer.contact.note(logID: UInt64(bitPattern: logID)) }
        updateValidity()
    }

    /// What another node leased here ends with that run of it: nobody is left who could release it.
    private func runMayHaveChanged(of peer: Peer, to report: PeerReport) {
        guard let known = peer.report, known.run != report.run else { return }
        store.releaseAll(owner: LeaseOwner(node: peer.name.description))
    }

    private func lost(_ peer: Peer, wasRefused: Bool) {
        defer { updateValidity() }
        let silenceMax = configuration.silenceMax.wholeNanoseconds
        guard peer.missed(at: now, wasRefused: wasRefused, silenceMax: silenceMax), !isStopping else {
            return
        }
        counters.peersDown.add()
        logger.warning(
            "a node does not answer: its blocks are misses until it does",
            metadata: ["node": "\(peer.name)"]
        )
    }

    /// What this node answers to another's heartbeat; the other's state may be news.
    package func answerBeat(from name: String, state: String, weight: Int, run: Int) -> [String]? {
        guard let name = NodeName(name), let newState = Member.State(rawValue: state),
            let weight = UInt32(exactly: weight), weight > 0
        else { return nil }
        let report = PeerReport(state: newState, weight: weight, run: UInt64(bitPattern: Int64(run)))
        // It speaks, so it is there; and what it says counts from now on, before it is answered.
        if let peer = self.state.withLock({ $0.peers[name] }), peer.report != report {
            runMayHaveChanged(of: peer, to: report)
            _ = peer.heard(report, at: now)
            rebuild()
        }
        let own = own
        let missed = self.state.withLock { $0.peers[name] }?.contact.hasMissed == true
        let membership = isMember(name, run: report.run)
        return [
            own.state.rawValue, String(own.weight), String(Int64(bitPattern: own.run)),
            String(clock.unixMilliseconds()), missed ? "1" : "0", String(store.deletionLogID),
            membership.isMember ? "1" : "0", String(min(membership.revision, UInt64(Int64.max))),
        ]
    }
}

extension PeerReport {
    /// Reads `[state, weight, run]`; `nil` for something else.
    fileprivate init?(_ reply: Reply) {
        guard let parts = reply.elements, parts.count >= 3,
            let state = parts[0].text.flatMap(Member.State.init(rawValue:)),
            let weight = parts[1].integer.flatMap({ UInt32(exactly: $0) }), weight > 0,
            let run = parts[2].integer
        else { return nil }
        self.init(state: state, weight: weight, run: UInt64(bitPattern: run))
    }
}

extension Duration {
    /// Milliseconds, rounded up, at least 1.
    var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        return max(1, seconds &* 1_000 &+ (attoseconds &+ 999_999_999_999_999) / 1_000_000_000_000_000)
    }

    /// Nanoseconds, at least 0.
    var wholeNanoseconds: UInt64 { UInt64(clamping: max(0, wholeMilliseconds)) &* 1_000_000 }
}
