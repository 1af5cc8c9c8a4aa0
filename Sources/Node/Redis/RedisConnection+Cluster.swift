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
        let completion = later { (connection: RedisConnection, flags: Cluster.Flags) in
            let deleted = flags.values.count { $0 }
            guard flags.silent.isEmpty else {
                return connection.fail(silent: flags.silent, "deleted \(deleted) blocks")
            }
            connection.reply.integer(deleted)
        }
        cluster.delete(space, keys(of: request), completion)
    }

    private func pinEverywhere(_ request: BlockRequest, _ space: KeySpace, _ cluster: Cluster) {
        let completion = later { (connection: RedisConnection, flags: Cluster.Flags) in
            // A block whose node is silent is not pinned, and its flag says so.
            connection.replyFlags(flags.values)
        }
        let milliseconds = request.timeToLiveMilliseconds.map { UInt64($0) }
        cluster.pin(space, keys(of: request), milliseconds: milliseconds, completion)
    }

    private func unpinEverywhere(_ request: BlockRequest, _ space: KeySpace, _ cluster: Cluster) {
        let completion = later { (connection: RedisConnection, flags: Cluster.Flags) in
            guard flags.silent.isEmpty else {
                return connection.fail(silent: flags.silent, "unpinned \(flags.values.count { $0 }) blocks")
            }
            connection.replyFlags(flags.values)
        }
        cluster.unpin(space, keys(of: request), completion)
    }

    private func prefetchEverywhere(_ request: BlockRequest, _ space: KeySpace, _ cluster: Cluster) {
        let completion = later { (connection: RedisConnection, count: Int) in connection.reply.integer(count)
        }
        cluster.prefetch(space, keys(of: request), completion)
    }

    private func explainEverywhere(_ request: BlockRequest, _ space: KeySpace, _ cluster: Cluster) {
        let completion = later { (connection: RedisConnection, lines: [String?]) in
            connection.reply.array(lines.count)
            for line in lines {
                connection.reply.bulk(line ?? "unreachable: the node that keeps this key does not answer")
            }
        }
        cluster.explain(space, keys(of: request), completion)
    }

    private func clearEverywhere(_ cluster: Cluster) {
        guard let space = namespaceSpace(at: 1) else { return }
        let completion = later { (connection: RedisConnection, answer: (count: Int, silent: [NodeName])) in
            guard answer.silent.isEmpty else {
                return connection.fail(silent: answer.silent, "cleared \(answer.count) blocks and copies")
            }
            connection.reply.integer(answer.count)
        }
        cluster.clear(space) { completion(($0, $1)) }
    }

    /// What was asked of all nodes has not reached all.
    private func fail(silent names: [NodeName], _ done: String) {
        fail(
            "CLUSTERDOWN \(done), but \(names.map(\.description).sorted().joined(separator: ", ")) did not answer and may still hold some: "
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
            (connection: RedisConnection, answer: (replies: [Reply], silent: [NodeName])) in
            let total = answer.replies.reduce(own) { $0 + Int(clamping: $1.integer ?? 0) }
            guard answer.silent.isEmpty || isCount else {
                return connection.fail(silent: answer.silent, "flushed the other nodes")
            }
            if isCount { connection.reply.integer(total) } else { connection.reply.simple("OK") }
        }
        cluster.broadcast(user.tenant, database: session.database, words) { replies, silent in
            completion((replies, silent))
        }
        return true
    }
}
