internal import Blocks
internal import Cluster
internal import RESP
internal import Tiering

extension RedisConnection {
    /// Checks a KV request's form and namespace, then runs it.
    func withBlocks(_ command: Command, _ body: (RedisConnection, BlockRequest, KeySpace) -> Void) {
        do {
            let request = try BlockRequest(command, arguments, limits, isOfPeer: session.peer != nil)
            try request.check(command, arguments)
            guard let space = namespaceSpace(at: 1) else { return }
            body(self, request, space)
        } catch {
            fail(error.text)
        }
    }

    /// KV.DESCRIBE json
    func describeNamespace() {
        guard let user = session.user else { return }
        do {
            let description = try NamespaceDescription(json: arguments.bytes(at: 1))
            if session.peer != nil, wrapperCount == 0 {
                // Another node describes it for nobody in particular: a tenant knows it when it is described for it.
                try store.remember(description)
                return reply.bulk(description.id.description)
            }
            guard
                user.may(.write) || store.visibleSpace(tenant: user.tenant, namespace: description.id) != nil
            else {
                return fail(
                    "NOPERM a namespace that the tenant does not know yet is described by a user with the scope write"
                )
            }
            let space = try store.space(tenant: user.tenant, description: description)
            lastSpace = session.peer == nil ? space : space.onThisNode
            // Whom another node tells, it has told all.
            if session.peer == nil { services.cluster?.share(description, for: user.tenant) }
            reply.bulk(space.namespace.description)
        } catch {
            fail(error)
        }
    }

    /// KV.MATCH: [matched, lease id or nil, [tier, blocks, tier, blocks, ...]]
    func match(_ request: BlockRequest, _ space: KeySpace) {
        let lease: Duration? = request.leaseMilliseconds > 0 ? .milliseconds(request.leaseMilliseconds) : nil
        guard !space.isShared else {
            let completion = later {
                (connection: RedisConnection, found: (match: Match, lesson: MatchLesson)) in
                connection.answer(found.match, found.lesson, to: request, in: space)
            }
            return store.matchEverywhere(
                space,
                keys: keys(of: request),
                lease: lease,
                prefetches: request.prefetches,
                owner: owner,
                completion
            )
        }
        let (match, lesson) = store.match(
            learningLater: space,
            keys: keys(of: request),
            lease: lease,
            prefetches: request.prefetches,
            owner: owner
        )
        answer(match, lesson, to: request, in: space)
    }

    private func answer(
        _ match: Match,
        _ lesson: MatchLesson,
        to request: BlockRequest,
        in space: KeySpace
    ) {
        self.lesson = lesson
        if services.tellsChains {
            chain = EventChain(keys(of: request), prefix: space.prefix, matchedCount: match.tiers.count)
        }
        reply.array(3)
        reply.integer(match.tiers.count)
        if let id = match.leaseID { reply.integer(Int(clamping: id)) } else { reply.null() }
        let runs = match.runs
        reply.array(runs.count * 2)
        for run in runs {
            switch run.tier {
            case .memory: reply.simple("memory")
            case .disk: reply.simple("disk")
            case .peer: reply.simple("peer")
            }
            reply.integer(run.blockCount)
        }
    }

    /// KV.GET: an array of payload or nil, streamed from the arena under leases.
    func getBlocks(_ request: BlockRequest, _ space: KeySpace) {
        sendMany(request.first..<arguments.count, from: space)
    }

    /// KV.PIN: 1 or 0 for each key
    func pin(_ request: BlockRequest, _ space: KeySpace) {
        let now = store.clock.unixMilliseconds()
        let until = request.timeToLiveMilliseconds.map { now &+ UInt64($0) } ?? .max
        replyFlags(store.pin(space, keys: keys(of: request), until: until))
    }

    /// KV.UNPIN: 1 or 0 for each key
    func unpin(_ request: BlockRequest, _ space: KeySpace) {
        replyFlags(store.unpin(space, keys: keys(of: request)))
    }

    /// KV.PREFETCH: the number of promotions begun
    func prefetch(_ request: BlockRequest, _ space: KeySpace) {
        guard session.peer == nil else {
            let keys = keys(of: request)
            return replyFlags(
                (0..<keys.count).map {
                    store.prefetch(space, keys: KeyBatch(validated: [keys.bytes(at: $0)])) > 0
                }
            )
        }
        reply.integer(store.prefetch(space, keys: keys(of: request)))
    }

    /// KV.DEL: the number of blocks deleted
    func deleteBlocks(_ request: BlockRequest, _ space: KeySpace) {
        // Another node wants to know which: several may hold the same.
        guard session.peer == nil else {
            let time = request.deletedAt ?? store.deletionTime()
            return replyFlags(store.deleteEach(space, keys: keys(of: request), at: time))
        }
        reply.integer(store.delete(space, keys: keys(of: request)))
    }

    /// KV.EXPLAIN: for each key a word and a sentence
    func explain(_ request: BlockRequest, _ space: KeySpace) {
        reply.array(request.count)
        for index in request.first..<arguments.count {
            let explanation = store.explain(space, key: arguments.key(at: index))
            reply.bulk(explanation.line)
        }
    }

    /// KV.RELEASE id
    func releaseLease() {
        guard let id = arguments.integer(at: 1), id >= 0 else { return fail(Self.notAnInteger) }
        reply.integer(store.release(lease: UInt64(id), owner: owner) ? 1 : 0)
    }

    /// KV.CLEAR ns
    func clearNamespace() {
        guard let space = namespaceSpace(at: 1) else { return }
        // Another node says when its client asked.
        let isTimed = session.peer != nil && arguments.count == 3
        guard arguments.count == 2 || isTimed else { return fail(Self.wrongArgumentCount("kv.clear")) }
        let time = isTimed ? arguments.integer(at: 2).flatMap { UInt64(exactly: $0) } : store.deletionTime()
        guard let time else { return fail(Self.notAnInteger) }
        reply.integer(store.clear(space, at: time))
    }

    /// KV.FORGET ns
    func forgetNamespace() {
        guard let space = namespaceSpace(at: 1) else { return }
        do {
            let blockCount = try store.forget(space)
            guard blockCount == 0 else {
                return fail("ERR the namespace holds \(blockCount) blocks on this node: KV.CLEAR it first")
            }
            lastSpace = nil
            reply.simple("OK")
        } catch {
            fail(error)
        }
    }

    /// KV.STATS [ns]
    func statistics() {
        guard arguments.count <= 2 else { return fail(Self.wrongArgumentCount("kv.stats")) }
        if arguments.count == 2 {
            guard let space = namespaceSpace(at: 1) else { return }
            let fields = store.statistics(of: space).fields
            reply.map(fields.count)
            for field in fields { replyFigure(field.name, field.value) }
            return
        }
        guard session.user?.may(.operator) == true else {
            return fail(
                "NOPERM figures of the whole node need the operator scope; KV.STATS ns tells of a namespace"
            )
        }
        let fields = store.statistics().fields
        let own = services.fields
        let now = store.clock.monotonicNanoseconds()
        let latencies = services.latencies.fields(at: now)
        reply.map(fields.count + own.count + latencies.count + 1)
        replyFigure("uptime_seconds", .integer(Int(clamping: (now &- services.startedAt) / 1_000_000_000)))
        for field in fields { replyFigure(field.name, field.value) }
        for field in own { replyFigure(field.name, .integer(field.value)) }
        for field in latencies { replyFigure(field.name, field.value) }
    }

    /// KV.HOT ns n: the hottest prefixes, each with hits, tokens and keys
    func hottest() {
        guard let space = namespaceSpace(at: 1) else { return }
        guard let limit = arguments.integer(at: 2), (1...1024).contains(limit) else {
            return fail("ERR KV.HOT takes 1 to 1024 prefixes")
        }
        let prefixes = store.hottestPrefixes(space, limit: limit)
        reply.array(prefixes.count)
        for prefix in prefixes {
            reply.map(3)
            reply.bulk("hits")
            reply.integer(prefix.hits)
            reply.bulk("tokens")
            reply.integer(prefix.tokenCount)
            reply.bulk("keys")
            reply.array(prefix.keys.count)
            for key in prefix.keys { reply.bulk(bytes: key) }
        }
    }

    func keys(of request: BlockRequest) -> KeyBatch {
        arguments.keys(at: request.first..<arguments.count)
    }

    func replyFlags(_ flags: [Bool]) {
        reply.array(flags.count)
        for flag in flags { reply.integer(flag ? 1 : 0) }
    }

    private func replyFigure(_ name: String, _ value: StatisticValue) {
        reply.bulk(name)
        switch value {
        case .integer(let value): reply.integer(value)
        case .ratio(let value): reply.double(value)
        case .text(let value): reply.bulk(value)
        }
    }

    static let help = """
        KV verbs of larder. ns is the 64 hexadecimal digits that KV.DESCRIBE returns.
        KV.DESCRIBE json                      registers what must be equal for blocks to be interchangeable -> ns
        KV.MATCH ns [LEASE ms] [PREFETCH] KEYS n key ...
                                              -> [leading keys held, lease id or nil, [tier, keys in it, ...]]
        KV.GET ns [LEASE id] KEYS n key ...   -> [payload or nil, ...]
        KV.PUT ns [TTL ms] [TOKENS n] [PIN] [DURABLE | ACK near|owner|durable] [XXH3 sum] BLOCKS n key payload ...
                                              -> [stored | exists | refused reason, ...]; XXH3 is for one block
        KV.RELEASE id                         ends a lease; it also ends by itself and with the connection
        KV.ATTACH [WRITE | ANY]               passes the arena's descriptor -> [version, bytes, writable]
        KV.BORROW ns KEYS n key ...           -> [loan or nil, [[offset, bytes, XXH3] | held | nil, ...]]; KV.RELEASE loan
        KV.RESERVE ns [TTL ms] [TOKENS n] [PIN] [DURABLE] BLOCKS n key bytes ...
                                              -> [[place, offset] | exists | refused reason, ...]
        KV.COMMIT place XXH3 ...              -> [stored | exists | refused reason, ...]
        KV.ABORT place ...                    -> places given back
        KV.PIN ns [TTL ms] KEYS n key ...     keeps blocks from eviction -> [1 or 0, ...]
        KV.UNPIN ns KEYS n key ...            -> [1 or 0, ...]
        KV.PREFETCH ns KEYS n key ...         brings blocks from disk to memory -> promotions begun
        KV.DEL ns KEYS n key ...              -> blocks deleted
        KV.CLEAR ns                           -> blocks deleted
        KV.FORGET ns                          -> OK; the namespace holds no blocks and is not known any more
        KV.EXPLAIN ns KEYS n key ...          -> [why each key is here or not, ...]
        KV.STATS [ns]                         figures of the node or of a namespace
        KV.HOT ns n                           the n hottest prefixes: hits, tokens, keys
        KV.CLUSTER [VIEW | STATUS | DRAIN]    who is in the cluster; this node's part in figures; hand over and leave
        Keys have 1 to 512 bytes, payloads 1 byte to 512 MiB. Blocks are immutable: the first writer wins.

        """
}
