internal import Blocks
internal import Cluster
internal import Placement
internal import RESP
internal import Tiering

/// Requests that concern other nodes of the cluster as well.
extension RedisConnection {
    /// Deals with a request of a client that is not, or not only, for this node; false when it is for this node alone.
    func isForOthers(_ command: Command) -> Bool {
        guard let cluster = services.cluster else { return false }
        switch command {
        case .kvDel:
            withBlocks(command) { $0.deleteEverywhere($1, $2, cluster) }
        case .kvPin:
            withBlocks(command) { $0.pinEverywhere($1, $2, cluster) }
        case .kvUnpin:
            withBlocks(command) { $0.unpinEverywhere($1, $2, cluster) }
        case .kvPrefetch:
            withBlocks(command) { $0.prefetchEverywhere($1, $2, cluster) }
        case .kvExplain:
            withBlocks(command) { $0.explainEverywhere($1, $2, cluster) }
        case .kvClear:
            clearEverywhere(cluster)
        case .dbsize, .flushdb, .flushall:
            return isForAll(command, cluster)
        default:
            return isForOwner(command, cluster)
        }
        return true
    }

    // MARK: Blocks

    private func deleteEverywhere(_ request: BlockRequest, _ space: KeySpace, _ cluster: Cluster) {
        let keys = keys(of: request)
        // Here first: what comes back from a fetch that is under way finds itself deleted.
        let own = store.deleteEach(space, keys: keys)
        let completion = later { (connection: RedisConnection, answers: Cluster.Answers) in
            let deleted = zip(own, answers.replies).count { $0 || $1?.integer == 1 }
            guard answers.silent.isEmpty else {
                return connection.failPartly(answers, "deleted \(deleted) blocks")
            }
            connection.reply.integer(deleted)
        }
        cluster.scatter("KV.DEL", space, [], keys, to: .everybody, completion)
    }

    private func pinEverywhere(_ request: BlockRequest, _ space: KeySpace, _ cluster: Cluster) {
        let keys = keys(of: request)
        let now = store.clock.unixMilliseconds()
        let until = request.timeToLiveMilliseconds.map { now &+ UInt64($0) } ?? .max
        let options = request.timeToLiveMilliseconds.map { ["TTL", String($0)] } ?? []
        // A near copy is not pinned: it is its keepers that keep it.
        let own = store.pinKept(space, keys: keys, until: until) { cluster.isKeeper(of: $0) }
        let completion = later { (connection: RedisConnection, answers: Cluster.Answers) in
            connection.replyFlags(zip(own, answers.replies).map { $0 || $1?.integer == 1 })
        }
        cluster.scatter("KV.PIN", space, options, keys, to: .keepers, completion)
    }

    private func unpinEverywhere(_ request: BlockRequest, _ space: KeySpace, _ cluster: Cluster) {
        let keys = keys(of: request)
        let own = store.unpin(space, keys: keys)
        let completion = later { (connection: RedisConnection, answers: Cluster.Answers) in
            connection.replyFlags(zip(own, answers.replies).map { $0 || $1?.integer == 1 })
        }
        // Second copies are pinned too.
        cluster.scatter("KV.UNPIN", space, [], keys, to: .everybody, completion)
    }

    private func prefetchEverywhere(_ request: BlockRequest, _ space: KeySpace, _ cluster: Cluster) {
        let keys = keys(of: request)
        let own = store.prefetch(space, keys: keys)
        let completion = later { (connection: RedisConnection, answers: Cluster.Answers) in
            connection.reply.integer(own + answers.replies.count { $0?.integer == 1 })
        }
        cluster.scatter("KV.PREFETCH", space, [], keys, to: .keepers, completion)
    }

    private func explainEverywhere(_ request: BlockRequest, _ space: KeySpace, _ cluster: Cluster) {
        let keys = keys(of: request)
        let own = (0..<keys.count).map { index -> String? in
            cluster.isKeeper(of: keys[index]) ? store.explain(space, key: keys[index]).line : nil
        }
        let completion = later { (connection: RedisConnection, answers: Cluster.Answers) in
            connection.reply.array(own.count)
            for (own, other) in zip(own, answers.replies) {
                connection.reply.bulk(
                    own ?? other?.text ?? "unreachable: the node that keeps this key does not answer"
                )
            }
        }
        cluster.scatter("KV.EXPLAIN", space, [], keys, to: .keepers, completion)
    }

    private func clearEverywhere(_ cluster: Cluster) {
        guard let space = namespaceSpace(at: 1) else { return }
        let own = store.clear(space)
        let completion = later {
            (connection: RedisConnection, answer: (replies: [Reply], silent: [String])) in
            let cleared = answer.replies.reduce(own) { $0 + Int(clamping: $1.integer ?? 0) }
            guard answer.silent.isEmpty else {
                return connection.failSilent(answer.silent, "cleared \(cleared) blocks and copies")
            }
            connection.reply.integer(cleared)
        }
        cluster.broadcast(space.tenant, database: 0, ["KV.CLEAR", space.namespace.description]) {
            replies,
            silent in
            completion((replies, silent.map(\.description)))
        }
    }

    private func failPartly(_ answers: Cluster.Answers, _ done: String) {
        failSilent(answers.silent.map(\.description), done)
    }

    /// What was asked of all nodes has not reached all.
    private func failSilent(_ names: [String], _ done: String) {
        fail(
            "CLUSTERDOWN \(done), but \(names.sorted().joined(separator: ", ")) did not answer and may still hold some: "
                + "repeat this when it is back"
        )
    }

    // MARK: Databases

    /// DBSIZE, FLUSHDB and FLUSHALL, of all nodes.
    private func isForAll(_ command: Command, _ cluster: Cluster) -> Bool {
        guard let user = session.user else { return false }
        let words = (0..<arguments.count).map { arguments.text(at: $0) }
        let isCount = command == .dbsize
        if !isCount {
            guard
                arguments.count == 1
                    || arguments.count == 2
                        && (arguments.matches("async", at: 1) || arguments.matches("sync", at: 1))
            else { return false }
        }
        let own = isCount ? store.blockCount(databaseSpace) : 0
        let databases = command == .flushall ? Array(0..<Self.databaseCount) : [session.database]
        if !isCount { for database in databases { _ = store.clear(space(of: user, database: database)) } }
        let completion = later {
            (connection: RedisConnection, answer: (replies: [Reply], silent: [String])) in
            let total = answer.replies.reduce(own) { $0 + Int(clamping: $1.integer ?? 0) }
            guard answer.silent.isEmpty || isCount else {
                return connection.failSilent(answer.silent, "flushed the other nodes")
            }
            if isCount { connection.reply.integer(total) } else { connection.reply.simple("OK") }
        }
        cluster.broadcast(user.tenant, database: session.database, words) { replies, silent in
            completion((replies, silent.map(\.description)))
        }
        return true
    }
}

extension Explanation {
    /// A word for programs and a sentence for people.
    var line: String { "\(rawValue): \(sentence)" }
}
