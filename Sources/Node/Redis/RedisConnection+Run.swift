internal import Blocks
internal import Cluster
internal import RESP
internal import Synchronization
internal import Tiering

extension RedisConnection {
    /// Checks a whole request as Redis does, in the same order, and runs it.
    func run() {
        guard let specification = CommandTable.find(arguments[0]) else { return failUnknown() }
        guard specification.accepts(argumentCount: arguments.count) else {
            return fail(Self.wrongArgumentCount(specification.command.rawValue))
        }
        if let scope = specification.scope {
            guard let user = session.user else { return fail("NOAUTH Authentication required.") }
            guard user.may(scope) else {
                return fail(
                    "NOPERM this user has no permissions to run the '\(specification.command.rawValue)' command"
                )
            }
            // Before the request goes on to another node, which asks nothing of the user any more.
            if specification.command == .set, !user.may(.read), setReturnsOld {
                return fail(
                    "NOPERM this user has no permissions to run the 'set' command with GET, which reads"
                )
            }
        }
        note(specification.command)
        if services.cluster != nil, session.peer == nil, isForOthers(specification.command) { return }
        if let cluster = services.cluster, isPlain(specification) {
            // Another node with an older view may still send here what this one does not own any more.
            if session.peer != nil, isSentInVain(specification, cluster) {
                return fail("TRYAGAIN this node does not own the key any more")
            }
            if cluster.hasWonSlots {
                cluster.dropStale(databaseSpace, arguments.keys(at: plainKeys(specification)))
            }
        }
        perform(specification.command)
    }

    /// Whether another node with an older view sends what this one does not own any more; deletions are harmless.
    private func isSentInVain(_ specification: CommandSpecification, _ cluster: Cluster) -> Bool {
        guard specification.scope == .write, specification.command != .del, specification.command != .unlink
        else { return false }
        return plainKeys(specification).contains { index in
            if case .there(_) = cluster.place(ofPlain: arguments.key(at: index)) { return true }
            return false
        }
    }

    /// Whether a verb is about plain keys.
    private func isPlain(_ specification: CommandSpecification) -> Bool { specification.keys.first > 0 }

    /// The arguments that are keys.
    private func plainKeys(_ specification: CommandSpecification) -> [Int] {
        let keys = specification.keys
        let last = keys.last < 0 ? arguments.count + keys.last : min(keys.last, arguments.count - 1)
        guard keys.first <= last else { return [] }
        return stride(from: keys.first, through: last, by: max(1, keys.step)).filter {
            arguments.isKey(at: $0)
        }
    }

    /// Whether SET has the option GET.
    private var setReturnsOld: Bool {
        (3..<max(3, arguments.count)).contains { arguments.matches("get", at: $0) }
    }

    /// The error for a number of arguments that cannot be right.
    static func wrongArgumentCount(_ name: String) -> String {
        "ERR wrong number of arguments for '\(name)' command"
    }

    static let notAnInteger = "ERR value is not an integer or out of range"
    static let syntaxError = "ERR syntax error"

    private func perform(_ command: Command) {
        switch command {
        case .hello: hello()
        case .auth: auth()
        case .select: select()
        case .ping: ping()
        case .echo: echo()
        case .quit: quit()
        case .reset: reset()
        case .client: client()
        case .command: describeCommands()
        case .info: info()
        case .config: config()
        case .debug: debug()
        case .memory: memory()
        case .get: get()
        case .set: set()
        case .setex: setWithTime(unit: .seconds)
        case .psetex: setWithTime(unit: .milliseconds)
        case .setnx: setIfAbsent()
        case .mget: getMany()
        case .mset: setMany()
        case .strlen: lengthOfValue()
        case .getrange: getRange()
        case .exists: exists()
        case .del, .unlink: delete()
        case .ttl: timeToLive { remaining, _ in TimeUnit.wholeSeconds(remaining) }
        case .pttl: timeToLive { remaining, _ in remaining }
        case .expiretime: timeToLive { _, at in TimeUnit.wholeSeconds(at) }
        case .pexpiretime: timeToLive { _, at in at }
        case .expire: expire("expire", unit: .seconds, isAbsolute: false)
        case .pexpire: expire("pexpire", unit: .milliseconds, isAbsolute: false)
        case .expireat: expire("expireat", unit: .seconds, isAbsolute: true)
        case .pexpireat: expire("pexpireat", unit: .milliseconds, isAbsolute: true)
        case .persist: persist()
        case .touch: touch()
        case .type: type()
        case .scan: scan()
        case .dbsize: reply.integer(store.blockCount(databaseSpace))
        case .flushdb: flush([session.database])
        case .flushall: flush(Array(0..<Self.databaseCount))
        case .kvDescribe: describeNamespace()
        case .kvMatch: withBlocks(.kvMatch) { $0.match($1, $2) }
        case .kvGet: withBlocks(.kvGet) { $0.getBlocks($1, $2) }
        case .kvPut: putBlocks()
        case .kvAttach: attach()
        case .kvBorrow: withBlocks(.kvBorrow) { $0.borrow($1, $2) }
        case .kvReserve: withBlocks(.kvReserve) { $0.reserve($1, $2) }
        case .kvCommit: commitReserved()
        case .kvAbort: abortReserved()
        case .kvPin: withBlocks(.kvPin) { $0.pin($1, $2) }
        case .kvUnpin: withBlocks(.kvUnpin) { $0.unpin($1, $2) }
        case .kvPrefetch: withBlocks(.kvPrefetch) { $0.prefetch($1, $2) }
        case .kvDel: withBlocks(.kvDel) { $0.deleteBlocks($1, $2) }
        case .kvExplain: withBlocks(.kvExplain) { $0.explain($1, $2) }
        case .kvRelease: releaseLease()
        case .kvClear: clearNamespace()
        case .kvForget: forgetNamespace()
        case .kvStats: statistics()
        case .kvHot: hottest()
        case .kvPeer: peer()
        case .kvHeld: withBlocks(.kvHeld) { $0.tellHeld($1, $2) }
        case .kvFetch: withBlocks(.kvFetch) { $0.fetchBlocks($1, $2) }
        case .kvCluster: clusterView()
        case .cluster: redisCluster()
        case .kvHelp: reply.verbatim(Self.help)
        }
    }

    private func note(_ command: Command) {
        let now = stopwatch.begin(RequestKind(command, isOfPeer: session.peer != nil))
        record.state.withLock { state in
            state.lastCommand = command.rawValue
            state.lastUsedAt = now
        }
    }

    private func failUnknown() {
        var list = ""
        for index in 1..<max(1, arguments.count) where list.utf8.count < 128 {
            list += "'\(arguments.text(at: index).prefix(128 - list.utf8.count))' "
        }
        fail("ERR unknown command '\(arguments.text(at: 0).prefix(128))', with args beginning with: \(list)")
    }
}
