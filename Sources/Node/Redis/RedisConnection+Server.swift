internal import Blocks
internal import RESP
internal import Tiering

extension RedisConnection {
    /// CONFIG GET parameter [parameter ...]
    func config() {
        guard isSubcommand("get", -3) else {
            if isSubcommand("set", -4) || isSubcommand("resetstat", 2) || isSubcommand("rewrite", 2) {
                return fail(
                    "ERR the node is configured by its flags, its environment and its file, not by CONFIG"
                )
            }
            return failSubcommand("config", ["get", "set", "resetstat", "rewrite"])
        }
        guard arguments.count <= 2 + Self.patternCountMax,
            (2..<arguments.count).allSatisfy({ arguments[$0].count <= GlobPattern.byteCountMax })
        else {
            return fail(
                "ERR CONFIG GET takes at most \(Self.patternCountMax) patterns of at most \(GlobPattern.byteCountMax) bytes"
            )
        }
        let patterns = (2..<arguments.count).map { GlobPattern(arguments.bytes(at: $0).map(Self.lowercase)) }
        let found = parameters.filter { parameter in
            patterns.contains { $0.matches(Array(parameter.name.utf8)) }
        }
        reply.map(found.count)
        for parameter in found {
            reply.bulk(parameter.name)
            reply.bulk(parameter.value)
        }
    }

    private static let patternCountMax = 64

    private static func lowercase(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    /// What clients of Redis ask for, with what is true here.
    private var parameters: [(name: String, value: String)] {
        let configuration = services.configuration
        return [
            ("appendonly", "no"),
            ("bind", configuration.host),
            ("databases", String(Self.databaseCount)),
            ("maxclients", String(limits.connectionCountMax)),
            ("maxmemory", String(configuration.memoryByteCount)),
            ("maxmemory-policy", "allkeys-lru"),
            ("port", String(configuration.port ?? 0)),
            ("proto-max-bulk-len", String(limits.request.bulkByteCountMax)),
            ("save", ""),
            ("tcp-keepalive", "15"),
            ("timeout", String(Int(limits.idleTimeout.inSeconds))),
            ("unixsocket", configuration.unixPath ?? ""),
        ]
    }

    /// DEBUG is refused, in Redis's words.
    func debug() {
        fail(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from"
                + " a local connection, otherwise you need to set this option in the configuration file, and then"
                + " restart the server."
        )
    }

    /// MEMORY USAGE key [SAMPLES count]
    func memory() {
        guard isSubcommand("usage", -3) else { return failSubcommand("memory", ["usage"]) }
        if arguments.count > 3 {
            guard arguments.count == 5, arguments.matches("samples", at: 3) else {
                return fail(Self.syntaxError)
            }
            guard let samples = arguments.integer(at: 4) else { return fail(Self.notAnInteger) }
            guard samples >= 0 else { return fail(Self.syntaxError) }
        }
        guard let summary = summary(key: 2) else { return reply.null() }
        let keyByteCount = (BlockHeader.byteCount + arguments[2].count + 63) / 64 * 64
        reply.integer(keyByteCount + (summary.payloadByteCount + 63) / 64 * 64)
    }

    /// COMMAND [COUNT | LIST | DOCS [name ...] | INFO [name ...]]
    func describeCommands() {
        if arguments.count == 1 {
            reply.array(CommandTable.specifications.count)
            for specification in CommandTable.specifications { replyInformation(specification) }
        } else if isSubcommand("count", 2) {
            reply.integer(CommandTable.specifications.count)
        } else if isSubcommand("list", 2) {
            reply.array(CommandTable.specifications.count)
            for specification in CommandTable.specifications { reply.bulk(specification.command.rawValue) }
        } else if isSubcommand("docs", -2) {
            let asked = askedSpecifications.compactMap(\.self)
            reply.map(asked.count)
            for specification in asked { replyDocumentation(specification) }
        } else if isSubcommand("info", -2) {
            let asked = askedSpecifications
            reply.array(asked.count)
            for specification in asked {
                if let specification { replyInformation(specification) } else { reply.null() }
            }
        } else {
            failSubcommand("command", ["count", "list", "docs", "info"])
        }
    }

    private var askedSpecifications: [CommandSpecification?] {
        guard arguments.count > 2 else { return CommandTable.specifications }
        return (2..<arguments.count).map { CommandTable.find(arguments[$0]) }
    }

    private func replyDocumentation(_ specification: CommandSpecification) {
        reply.bulk(specification.command.rawValue)
        reply.map(3)
        reply.bulk("summary")
        reply.bulk(specification.summary)
        reply.bulk("since")
        reply.bulk("1.0.0")
        reply.bulk("group")
        reply.bulk(specification.group)
    }

    private func replyInformation(_ specification: CommandSpecification) {
        reply.array(10)
        reply.bulk(specification.command.rawValue)
        reply.integer(specification.arity)
        let flags = specification.flags
        reply.set(flags.count)
        for flag in flags { reply.simple(text: flag) }
        reply.integer(specification.keys.first)
        reply.integer(specification.keys.last)
        reply.integer(specification.keys.step)
        let categories = specification.scope.map { ["@\($0.rawValue)"] } ?? ["@connection"]
        reply.set(categories.count)
        for category in categories { reply.simple(text: category) }
        for _ in 0..<3 { reply.array(0) }
    }
}

extension CommandSpecification {
    /// The group of COMMAND DOCS.
    var group: String {
        if command.rawValue.hasPrefix("kv.") { return "blocks" }
        return switch command {
        case .hello, .auth, .select, .ping, .echo, .quit, .reset, .client: "connection"
        case .command, .info, .config, .debug, .memory, .dbsize, .flushdb, .flushall: "server"
        case .get, .set, .setex, .psetex, .setnx, .mget, .mset, .strlen, .getrange: "string"
        default: "generic"
        }
    }

    /// The flags of COMMAND INFO.
    var flags: [String] {
        switch scope {
        case nil: ["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"]
        case .connect: ["loading", "stale", "fast"]
        case .read: ["readonly", "fast"]
        case .write: ["write", "denyoom", "fast"]
        case .admin, .operator: ["admin", "write"]
        }
    }
}
