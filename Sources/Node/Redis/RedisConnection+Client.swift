internal import Blocks
internal import RESP
internal import Synchronization
internal import Tiering

extension RedisConnection {
    static let connectionNameRule = "ERR Client names cannot contain spaces, newlines or special characters."

    /// Whether the bytes can name a connection: printable ASCII without spaces, at most 256.
    static func isConnectionName(_ bytes: [UInt8]) -> Bool {
        bytes.count <= 256 && bytes.allSatisfy { (UInt8(ascii: "!")...UInt8(ascii: "~")).contains($0) }
    }

    /// CLIENT subcommand ...
    func client() {
        if isSubcommand("id", 2) {
            reply.integer(Int(clamping: record.id))
        } else if isSubcommand("getname", 2) {
            if session.name.isEmpty { reply.null() } else { reply.bulk(session.name) }
        } else if isSubcommand("setname", 3) {
            guard Self.isConnectionName(arguments.bytes(at: 2)) else { return fail(Self.connectionNameRule) }
            session.name = arguments.text(at: 2)
            updateRecord()
            reply.simple("OK")
        } else if isSubcommand("setinfo", 4) {
            setInfo()
        } else if isSubcommand("info", 2) {
            reply.verbatim(record.line(now: store.clock.monotonicNanoseconds()) + "\n")
        } else if isSubcommand("list", -2) {
            list()
        } else if isSubcommand("no-evict", 3) || isSubcommand("no-touch", 3) {
            guard arguments.matches("on", at: 2) || arguments.matches("off", at: 2) else {
                return fail(Self.syntaxError)
            }
            reply.simple("OK")
        } else if isSubcommand("reply", 3) {
            setReplies()
        } else {
            failSubcommand(
                "client",
                ["id", "getname", "setname", "setinfo", "info", "no-evict", "no-touch", "reply"]
            )
        }
    }

    /// Whether the request is `subcommand`, with a number of arguments that it takes.
    func isSubcommand(_ name: StaticString, _ arity: Int) -> Bool {
        let count = arguments.count
        return arguments.matches(name, at: 1) && (arity >= 0 ? count == arity : count >= -arity)
    }

    /// The error for a subcommand that is not known, or is known with other arguments.
    func failSubcommand(_ command: String, _ known: [String]) {
        let name = arguments.text(at: 1).lowercased()
        if known.contains(name) {
            fail(Self.wrongArgumentCount("\(command)|\(name)"))
        } else {
            fail(
                "ERR unknown subcommand '\(arguments.text(at: 1).prefix(128))'. Try \(command.uppercased()) HELP."
            )
        }
    }

    private func setInfo() {
        let value = arguments.bytes(at: 3)
        guard Self.isConnectionName(value) else {
            return fail("ERR \(arguments.text(at: 2)) cannot contain spaces, newlines or special characters.")
        }
        if arguments.matches("lib-name", at: 2) {
            session.libraryName = arguments.text(at: 3)
        } else if arguments.matches("lib-ver", at: 2) {
            session.libraryVersion = arguments.text(at: 3)
        } else {
            return fail("ERR Unrecognized option '\(arguments.text(at: 2))'")
        }
        updateRecord()
        reply.simple("OK")
    }

    /// A user sees the connections of its own tenant, an operator all.
    private func list() {
        if arguments.count > 2 {
            guard arguments.count == 4, arguments.matches("type", at: 2) else {
                return fail(Self.syntaxError)
            }
            guard !["master", "slave", "replica", "pubsub"].contains(arguments.text(at: 3).lowercased())
            else {
                return reply.verbatim("")
            }
            guard arguments.matches("normal", at: 3) else {
                return fail("ERR Unknown client type '\(arguments.text(at: 3))'")
            }
        }
        let now = store.clock.monotonicNanoseconds()
        reply.verbatim(visibleConnections.map { $0.line(now: now) + "\n" }.joined())
    }

    /// The connections that the user may know of.
    var visibleConnections: [ConnectionRecord] {
        guard let user = session.user else { return [] }
        return services.connections.all.filter { record in
            user.may(.operator) || record.state.withLock { $0.tenant } == user.tenant.name
        }
    }

    private func setReplies() {
        if arguments.matches("on", at: 2) {
            session.replies = .on
            reply.simple("OK")
        } else if arguments.matches("off", at: 2) {
            handOver()
            session.replies = .off
        } else if arguments.matches("skip", at: 2) {
            if session.replies == .on { session.replies = .skipNext }
        } else {
            fail(Self.syntaxError)
        }
    }
}
