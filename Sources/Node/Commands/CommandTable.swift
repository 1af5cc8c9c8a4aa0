/// What is known of a verb before it is run.
struct CommandSpecification: Sendable {
    /// The verb.
    let command: Command
    /// Arguments with the verb; negative for at least as many.
    let arity: Int
    /// What a user must be allowed; `nil` is nothing, not even to be authenticated.
    let scope: Scope?
    /// The first and last argument that are keys, and the step between them, as in COMMAND INFO; 0 for none.
    let keys: (first: Int, last: Int, step: Int)
    /// One sentence for COMMAND DOCS.
    let summary: String

    /// Whether `count` arguments may be right.
    func accepts(argumentCount count: Int) -> Bool {
        arity >= 0 ? count == arity : count >= -arity
    }
}

/// Every verb's specification.
enum CommandTable {
    /// All verbs in the order of `Command`.
    static let specifications: [CommandSpecification] = Command.allCases.map(specification)

    private static let byName: [CommandName: CommandSpecification] = {
        var table: [CommandName: CommandSpecification] = [:]
        for specification in specifications {
            if let name = CommandName(specification.command.rawValue) { table[name] = specification }
        }
        return table
    }()

    /// The verb of a name in any case.
    static func find(_ name: Span<UInt8>) -> CommandSpecification? {
        guard let name = CommandName(name) else { return nil }
        return byName[name]
    }

    private static func specification(_ command: Command) -> CommandSpecification {
        func make(
            _ arity: Int,
            _ scope: Scope?,
            _ keys: (Int, Int, Int) = (0, 0, 0),
            _ summary: String
        ) -> CommandSpecification {
            CommandSpecification(
                command: command,
                arity: arity,
                scope: scope,
                keys: (first: keys.0, last: keys.1, step: keys.2),
                summary: summary
            )
        }
        return switch command {
        case .hello: make(-1, nil, (0, 0, 0), "Handshakes: protocol version, authentication, name.")
        case .auth: make(-2, nil, (0, 0, 0), "Authenticates the connection.")
        case .select: make(2, .connect, (0, 0, 0), "Changes the selected database, 0 to 15.")
        case .ping: make(-1, .connect, (0, 0, 0), "Answers PONG or its argument.")
        case .echo: make(2, .connect, (0, 0, 0), "Answers its argument.")
        case .quit: make(-1, nil, (0, 0, 0), "Closes the connection.")
        case .reset: make(1, nil, (0, 0, 0), "Puts the connection back to its start.")
        case .client: make(-2, .connect, (0, 0, 0), "Tells about and names connections.")
        case .command: make(-1, .connect, (0, 0, 0), "Tells about verbs.")
        case .info: make(-1, .connect, (0, 0, 0), "Tells about the node.")
        case .config: make(-2, .connect, (0, 0, 0), "Reads the node's parameters.")
        case .debug: make(-2, .admin, (0, 0, 0), "Refused.")
        case .memory: make(-2, .read, (2, 2, 1), "Tells a key's memory.")
        case .get: make(2, .read, (1, 1, 1), "Returns a value.")
        case .set: make(-3, .write, (1, 1, 1), "Stores a value, replacing what was there.")
        case .setex, .psetex: make(4, .write, (1, 1, 1), "Stores a value with a time to live.")
        case .setnx: make(3, .write, (1, 1, 1), "Stores a value if there is none.")
        case .mget: make(-2, .read, (1, -1, 1), "Returns several values.")
        case .mset: make(-3, .write, (1, -1, 2), "Stores several values.")
        case .strlen: make(2, .read, (1, 1, 1), "Returns a value's length.")
        case .getrange: make(4, .read, (1, 1, 1), "Returns part of a value.")
        case .exists: make(-2, .read, (1, -1, 1), "Counts which keys are held.")
        case .del, .unlink: make(-2, .write, (1, -1, 1), "Deletes keys.")
        case .ttl: make(2, .read, (1, 1, 1), "Returns the time to live in seconds.")
        case .pttl: make(2, .read, (1, 1, 1), "Returns the time to live in milliseconds.")
        case .expiretime: make(2, .read, (1, 1, 1), "Returns the time of expiry in seconds since 1970.")
        case .pexpiretime: make(2, .read, (1, 1, 1), "Returns the time of expiry in milliseconds since 1970.")
        case .expire: make(-3, .write, (1, 1, 1), "Sets the time to live in seconds.")
        case .pexpire: make(-3, .write, (1, 1, 1), "Sets the time to live in milliseconds.")
        case .expireat: make(-3, .write, (1, 1, 1), "Sets the time of expiry in seconds since 1970.")
        case .pexpireat: make(-3, .write, (1, 1, 1), "Sets the time of expiry in milliseconds since 1970.")
        case .persist: make(2, .write, (1, 1, 1), "Removes the expiry.")
        case .touch: make(-2, .read, (1, -1, 1), "Marks keys as used.")
        case .type: make(2, .read, (1, 1, 1), "Returns a key's type.")
        case .scan: make(-2, .read, (0, 0, 0), "Goes through the keys of the database.")
        case .dbsize: make(1, .read, (0, 0, 0), "Counts the keys of the database.")
        case .flushdb: make(-1, .admin, (0, 0, 0), "Deletes the keys of the database.")
        case .flushall: make(-1, .admin, (0, 0, 0), "Deletes the keys of all numbered databases.")
        case .kvDescribe: make(2, .read, (0, 0, 0), "Registers a namespace's description and returns its id.")
        case .kvMatch: make(-5, .read, (0, 0, 0), "Tells how many leading keys are held, and leases them.")
        case .kvGet: make(-5, .read, (0, 0, 0), "Returns blocks.")
        case .kvPut: make(-6, .write, (0, 0, 0), "Stores blocks.")
        case .kvAttach: make(-1, .read, (0, 0, 0), "Passes the arena's descriptor over a Unix socket.")
        case .kvBorrow: make(-5, .read, (0, 0, 0), "Lends blocks to be read in place.")
        case .kvReserve: make(-6, .write, (0, 0, 0), "Takes places for blocks to be written in place.")
        case .kvCommit: make(-3, .write, (0, 0, 0), "Makes blocks visible that were written in place.")
        case .kvAbort: make(-2, .write, (0, 0, 0), "Gives places back.")
        case .kvPin: make(-5, .write, (0, 0, 0), "Keeps blocks from eviction.")
        case .kvUnpin: make(-5, .write, (0, 0, 0), "Ends pins.")
        case .kvPrefetch: make(-5, .read, (0, 0, 0), "Brings blocks from disk to memory.")
        case .kvRelease: make(2, .read, (0, 0, 0), "Ends a lease.")
        case .kvDel: make(-5, .write, (0, 0, 0), "Deletes blocks.")
        case .kvClear: make(-2, .admin, (0, 0, 0), "Deletes a namespace's blocks.")
        case .kvForget: make(2, .admin, (0, 0, 0), "Forgets a namespace that holds no blocks.")
        case .kvStats: make(-1, .read, (0, 0, 0), "Returns figures of the node or of a namespace.")
        case .kvExplain: make(-5, .read, (0, 0, 0), "Tells why keys are here or not.")
        case .kvHot: make(3, .read, (0, 0, 0), "Returns a namespace's hottest prefixes.")
        case .kvPeer:
            make(-2, nil, (0, 0, 0), "Another node of the cluster proves itself and tells its state.")
        case .kvHeld: make(-5, .read, (0, 0, 0), "Tells another node which keys are held here.")
        case .kvFetch: make(-5, .read, (0, 0, 0), "Gives blocks with their heads to another node.")
        case .kvCluster: make(-1, .read, (0, 0, 0), "Tells who is in the cluster, and drains nodes.")
        case .cluster:
            make(-2, .connect, (0, 0, 0), "Tells clients of Redis Cluster which node owns which slots.")
        case .kvHelp: make(1, .connect, (0, 0, 0), "Returns one page about the KV verbs.")
        }
    }
}
