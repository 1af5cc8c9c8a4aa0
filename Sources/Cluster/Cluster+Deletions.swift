internal import Blocks
internal import Dispatch
internal import LarderClient
internal import Logging
internal import Placement
internal import RESP
internal import Synchronization
package import Tiering

/// Deletions that a node missed while it was away: each other node is asked for those that it heard of since the last
/// contact, before what this node holds is served again.
extension Cluster {
    /// Deletions of one reply.
    package static let deletionPageCountMax = 1_024
    /// How often contacts are written down.
    private static let contactNanoseconds: UInt64 = 5_000_000_000

    /// The thread that asks; it may block.
    func catchUp() {
        var writtenAt: UInt64 = 0
        while !isStopping {
            for peer in peers where !peer.isDown {
                if let gap = peer.contact.gap { catchUp(with: peer, gap) }
            }
            updateValidity()
            if now &- writtenAt > Self.contactNanoseconds {
                writeContacts()
                writtenAt = now
            }
            deletionBell.wait(milliseconds: 1_000)
        }
        writeContacts()
    }

    private func catchUp(with peer: Peer, _ gap: PeerContact.Gap) {
        var cursor: UInt64 = 0
        var first: DeletionReply?
        var dropped = 0
        while !isStopping {
            guard let page = askDeletions(of: peer, since: gap.since, cursor: cursor) else { return }
            first = first ?? page
            for record in page.records { dropped += store.apply(record) }
            guard let next = page.next, next > cursor else { break }
            cursor = next
        }
        guard let first, !isStopping else { return }
        if gap.logID == first.logID, first.floor > gap.heardAt {
            // It has forgotten deletions that this node has not heard of: nothing from before can be trusted.
            for space in describedSpaces { dropped += store.forget(space, createdUntil: first.floor) }
            logger.warning(
                "this node was away for longer than another one remembers deletions: its blocks from before were dropped",
                metadata: ["node": "\(peer.name)", "blocks": "\(dropped)"]
            )
        }
        peer.contact.caughtUp(theirs: first.now, logID: first.logID)
        counters.catchUps.add()
        if dropped > 0 {
            logger.info(
                "blocks were dropped that had been deleted while this node was away",
                metadata: ["node": "\(peer.name)", "blocks": "\(dropped)"]
            )
        }
    }

    private struct DeletionReply {
        let logID: UInt64
        let floor: UInt64
        let now: UInt64
        let next: UInt64?
        let records: [DeletionRecord]

        /// Reads `[log, floor, now, next or nil, [tenant, namespace, key or nil, time, ...]]`.
        init?(_ reply: Reply) {
            guard let parts = reply.elements, parts.count == 5,
                let logID = parts[0].integer, let floor = parts[1].integer, let now = parts[2].integer,
                floor >= 0, now >= 0, let fields = parts[4].elements, fields.count.isMultiple(of: 4)
            else { return nil }
            self.logID = UInt64(bitPattern: logID)
            self.floor = UInt64(floor)
            self.now = UInt64(now)
            next = parts[3].integer.flatMap { UInt64(exactly: $0) }
            var records: [DeletionRecord] = []
            for index in stride(from: 0, to: fields.count, by: 4) {
                guard let tenant = fields[index].text.flatMap({ try? Tenant($0) }),
                    let namespace = fields[index + 1].text
                        .flatMap({ NamespaceID(hexadecimal: Array($0.utf8)) }),
                    let time = fields[index + 3].integer, time >= 0
                else { return nil }
                records.append(
                    DeletionRecord(
                        tenant: tenant,
                        namespace: namespace,
                        key: fields[index + 2].bytes,
                        deletedAt: UInt64(time)
                    )
                )
            }
            self.records = records
        }
    }

    private func askDeletions(of peer: Peer, since: UInt64, cursor: UInt64) -> DeletionReply? {
        let done = DispatchSemaphore(value: 0)
        let arguments = [
            "KV.PEER", "DELETIONS", String(min(since, UInt64(Int64.max))),
            String(min(cursor, UInt64(Int64.max))),
        ]
        var encoder = RequestEncoder()
        encoder.begin(argumentCount: arguments.count)
        for argument in arguments { encoder.append(argument) }
        let slot = DeletionAnswer()
        peer.link.ask(encoder.finish(), timeout: configuration.storeTimeout, asksBreaker: false) { result in
            if case .success(let reply) = result { slot.reply.withLock { $0 = reply } }
            done.signal()
        }
        done.wait()
        return slot.reply.withLock { $0 }.flatMap(DeletionReply.init)
    }

    /// What another node asks for that was away.
    package func deletions(for name: String, since: Int, cursor: Int) -> DeletionPage? {
        guard let since = UInt64(exactly: since), let cursor = UInt64(exactly: cursor) else { return nil }
        if cursor == 0, let name = NodeName(name), let peer = state.withLock({ $0.peers[name] }) {
            peer.contact.missedIsAsked()
        }
        return store.deletionPage(since: since, cursor: cursor, countMax: Self.deletionPageCountMax)
    }

    // MARK: What may be served

    package var mayServeHeld: Bool { now <= heldIsValidUntil.load(ordering: .relaxed) }

    /// How long a node may hear nothing of another before it may have missed a deletion, nanoseconds: longer than a
    /// deletion waits for an answer.
    var contactLimit: UInt64 { 2 &* configuration.silenceMax.wholeNanoseconds }

    /// Decides until when this node may serve what it holds, from what it knows of each node that it can reach.
    func updateValidity() {
        let limit = contactLimit
        let until = peers.filter { !$0.isDown }.map { $0.contact.validUntil(limit: limit) }.min() ?? .max
        heldIsValidUntil.store(until, ordering: .relaxed)
    }

    /// Notes which nodes a deletion did not reach.
    func noteMissed(_ names: [NodeName]) {
        guard !names.isEmpty else { return }
        let peers = state.withLock { state in names.compactMap { state.peers[$0] } }
        for peer in peers { peer.contact.deletionMissed() }
    }

    private func writeContacts() {
        guard let file = contactFile else { return }
        let contacts = peers.compactMap { peer in
            peer.contact.lastContact.map { (name: peer.name, logID: $0.logID, heardAt: $0.heardAt) }
        }
        // A node that is no member for the moment is not forgotten.
        let known = Set(contacts.map(\.name))
        let others = previousContacts.filter { !known.contains($0.key) }
            .map { (name: $0.key, logID: $0.value.logID, heardAt: $0.value.heardAt) }
        guard !contacts.isEmpty else { return }
        file.write(contacts + others)
    }
}

/// A reply on its way from a connection's thread to the one that waits.
private final class DeletionAnswer: Sendable {
    let reply = Mutex<Reply?>(nil)
}
