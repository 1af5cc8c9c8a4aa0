internal import Blocks
internal import Cluster
internal import MemoryTier
internal import Placement
internal import RESP
internal import Tiering

/// What other nodes of the cluster ask. They prove themselves first, and then speak for the clients that asked them:
/// `KV.FOR tenant database VERB ...` runs a verb as if that tenant had sent it, on this node alone.
extension RedisConnection {
    /// Arguments of KV.FOR before the verb that it is about.
    private static let wrapperCount = 3

    /// Looks at how a request begins, once its first arguments are there: for whom another node asks.
    func unwrap() {
        guard session.peer != nil, wrapperCount == 0 else { return }
        session.user = .peer(.default)
        session.database = 0
        let arguments = parser.arguments
        guard arguments.matches("kv.for", at: 0), arguments.count > Self.wrapperCount,
            let tenant = try? Tenant(arguments.text(at: 1)), let database = arguments.integer(at: 2),
            (0..<Self.databaseCount).contains(database)
        else { return }
        session.user = .peer(tenant)
        session.database = database
        wrapperCount = Self.wrapperCount
    }

    /// KV.PEER HELLO name called-name nonce | PROOF proof | BEAT state weight run | HANDED | DELETIONS since cursor
    func peer() {
        guard let cluster = services.cluster else {
            return fail("ERR this node is in no cluster: see larder serve --cluster")
        }
        if isSubcommand("hello", 5) {
            greetPeer(cluster)
        } else if isSubcommand("proof", 3) {
            believePeer(cluster)
        } else if isSubcommand("beat", 5) {
            answerBeat(cluster)
        } else if isSubcommand("handed", 2), let peer = session.peer {
            cluster.handedOver(by: peer)
            reply.simple("OK")
        } else if isSubcommand("deletions", 4), let peer = session.peer {
            tellDeletions(to: peer, cluster)
        } else {
            fail("NOPERM KV.PEER is for the nodes of the cluster, after they have proved themselves")
        }
    }

    private func greetPeer(_ cluster: Cluster) {
        let name = arguments.text(at: 2)
        let nonce = arguments.bytes(at: 4)
        let own = cluster.own.name.description
        guard arguments.text(at: 3) == own else {
            return fail("ERR this is node \(own), not \(arguments.text(at: 3).prefix(64))")
        }
        guard nonce.count == ClusterSecret.proofByteCount, name != own, !name.isEmpty else {
            return fail("ERR KV.PEER HELLO takes two names that differ and a nonce of 32 bytes")
        }
        let greeting = Session.PeerGreeting(name: name, nonce: nonce, ownNonce: ClusterSecret.nonce())
        session.greeting = greeting
        reply.array(2)
        reply.bulk(bytes: greeting.ownNonce)
        reply.bulk(
            bytes: cluster.secret.proof(
                of: .called,
                caller: name,
                called: own,
                callerNonce: nonce,
                calledNonce: greeting.ownNonce
            )
        )
    }

    private func believePeer(_ cluster: Cluster) {
        guard let greeting = session.greeting else { return fail("ERR KV.PEER HELLO comes first") }
        session.greeting = nil
        guard
            cluster.secret.isProof(
                arguments.bytes(at: 2),
                of: .caller,
                caller: greeting.name,
                called: cluster.own.name.description,
                callerNonce: greeting.nonce,
                calledNonce: greeting.ownNonce
            )
        else {
            counters.authenticationFailures.add()
            fail("WRONGPASS the caller does not know this cluster's secret")
            return closeAfterReplies()
        }
        session.peer = greeting.name
        session.name = "peer:\(greeting.name)"
        session.saidHello = true
        session.user = .peer(.default)
        parser.isAuthenticated = true
        updateRecord()
        reply.simple("OK")
    }

    private func answerBeat(_ cluster: Cluster) {
        guard let peer = session.peer, let weight = arguments.integer(at: 3),
            let run = arguments.integer(at: 4),
            let answer = cluster.answerBeat(
                from: peer,
                state: arguments.text(at: 2),
                weight: weight,
                run: run
            )
        else { return fail("NOPERM KV.PEER BEAT is for the nodes of the cluster") }
        reply.array(answer.count)
        for word in answer { reply.bulk(word) }
    }

    /// [log, floor, now, next cursor or nil, [tenant, namespace, key or nil, time, ...]]
    private func tellDeletions(to peer: String, _ cluster: Cluster) {
        guard let since = arguments.integer(at: 2), let cursor = arguments.integer(at: 3),
            let page = cluster.deletions(for: peer, since: since, cursor: cursor)
        else { return fail(Self.notAnInteger) }
        reply.array(5)
        reply.integer(Int(truncatingIfNeeded: page.logID))
        reply.integer(Int(clamping: page.floor))
        reply.integer(Int(clamping: page.now))
        if let next = page.next { reply.integer(Int(clamping: next)) } else { reply.null() }
        reply.array(4 * page.records.count)
        for record in page.records {
            reply.bulk(record.tenant.name)
            reply.bulk(record.namespace.description)
            if let key = record.key { reply.bulk(bytes: key) } else { reply.null() }
            reply.integer(Int(clamping: record.deletedAt))
        }
    }

    // MARK: What other nodes ask of blocks

    /// KV.HELD: [lease id or nil, [tier, keys, tier, keys, ...]], tier 0 for none, 1 memory, 2 disk.
    func tellHeld(_ request: BlockRequest, _ space: KeySpace) {
        guard session.peer != nil else { return failForPeers() }
        let holding = store.held(
            space,
            keys: keys(of: request),
            lease: request.leaseMilliseconds > 0 ? .milliseconds(request.leaseMilliseconds) : nil,
            prefetches: request.prefetches,
            keptOnly: request.keptOnly,
            owner: owner
        )
        var runs: [(code: Int, count: Int)] = []
        for tier in holding.tiers {
            let code =
                switch tier {
                case nil: 0
                case .memory?: 1
                case .disk?, .peer?: 2
                }
            if runs.last?.code == code { runs[runs.count - 1].count += 1 } else { runs.append((code, 1)) }
        }
        reply.array(2)
        if let id = holding.leaseID { reply.integer(Int(clamping: id)) } else { reply.null() }
        reply.array(runs.count * 2)
        for run in runs {
            reply.integer(run.code)
            reply.integer(run.count)
        }
    }

    /// KV.FETCH: for each key its head and its payload, or nil twice.
    func fetchBlocks(_ request: BlockRequest, _ space: KeySpace) {
        guard session.peer != nil else { return failForPeers() }
        reply.array(2 * request.count)
        readMany(request.first..<arguments.count, in: space) { connection, lease in
            guard let lease else {
                connection.reply.null()
                return connection.reply.null()
            }
            connection.reply.bulk(
                bytes: BlockHead.encode(lease.attributes, payloadChecksum: lease.payloadChecksum)
            )
            if !connection.send(lease, from: space) { connection.reply.null() }
        }
    }

    private func failForPeers() {
        fail("NOPERM this verb is for the nodes of the cluster")
    }
}
