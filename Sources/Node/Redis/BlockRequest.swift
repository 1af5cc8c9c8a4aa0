internal import Blocks
internal import RESP

/// The common shape of the KV verbs: `VERB ns [options] KEYS n key ...`, with BLOCKS and pairs for KV.PUT.
struct BlockRequest: Hashable {
    /// LEASE of KV.MATCH, milliseconds; zero is none.
    var leaseMilliseconds = 0
    /// LEASE of KV.GET.
    var leaseID: UInt64?
    /// PREFETCH
    var prefetches = false
    /// KEPT of KV.HELD.
    var keptOnly = false
    /// TTL, milliseconds.
    var timeToLiveMilliseconds: Int?
    /// TOKENS of each block.
    var tokenCount: UInt32 = 0
    /// PIN
    var pins = false
    /// DURABLE
    var isDurable = false
    /// ACK: when a put of a block that another node owns is answered.
    var waitsForOwner = false
    /// XXH3 of the one block's payload.
    var payloadChecksum: UInt64?
    /// CREATED, between nodes: when the block was made, milliseconds since 1970.
    var createdAt: UInt64?
    /// AT, between nodes: the time of a deletion, milliseconds since 1970.
    var deletedAt: UInt64?
    /// Index of the first key.
    var first = 0
    /// Number of keys or blocks.
    var count = 0

    /// Reads everything before the keys; what follows need not have arrived yet. `isOfPeer` allows what only other nodes
    /// of the cluster may say.
    init(
        _ command: Command,
        _ arguments: RequestArguments,
        _ limits: ConnectionLimits,
        isOfPeer: Bool = false
    ) throws(CommandError) {
        let grammar = Grammar(command, isOfPeer: isOfPeer)
        var index = 2
        while true {
            guard index < arguments.count else { throw grammar.usage("there is no \(grammar.listWord)") }
            if arguments.matches(grammar.listLetters, at: index) { break }
            index = try takeOption(arguments, index, grammar)
        }
        guard let count = arguments.integer(at: index + 1) else {
            throw grammar.usage("\(grammar.listWord) needs a number")
        }
        let countMax = command.takesPairs ? limits.batchBlockCountMax : limits.batchKeyCountMax
        guard (1...countMax).contains(count) else {
            throw CommandError(text: "ERR \(grammar.listWord) takes 1 to \(countMax), not \(count)")
        }
        guard payloadChecksum == nil || count == 1 else {
            throw CommandError(text: "ERR XXH3 is for one block, not \(count)")
        }
        self.count = count
        first = index + 2
    }

    /// Checks that exactly the announced keys, or pairs, are there, and that each key can be one.
    func check(_ command: Command, _ arguments: RequestArguments) throws(CommandError) {
        let width = command.takesPairs ? 2 : 1
        guard arguments.count - first == count * width else {
            throw CommandError(
                text:
                    "ERR \(count) announced, but \(arguments.count - first) arguments follow, not \(count * width)"
            )
        }
        guard command != .kvPut else { return }
        for index in stride(from: first, to: arguments.count, by: width) where !arguments.isKey(at: index) {
            throw CommandError(text: "ERR key \((index - first) / width + 1): \(RedisConnection.keyRule)")
        }
    }

    private mutating func takeOption(
        _ arguments: RequestArguments,
        _ index: Int,
        _ grammar: Grammar
    ) throws(CommandError) -> Int {
        func number(_ range: ClosedRange<Int>, _ name: String) throws(CommandError) -> Int {
            guard let value = arguments.integer(at: index + 1), range.contains(value) else {
                throw CommandError(text: "ERR \(name) takes \(range.lowerBound) to \(range.upperBound)")
            }
            return value
        }
        if grammar.options.contains(.lease), arguments.matches("lease", at: index) {
            leaseMilliseconds = try number(0...Limits.leaseMillisecondsMax, "LEASE (milliseconds)")
        } else if grammar.options.contains(.leaseID), arguments.matches("lease", at: index) {
            leaseID = UInt64(try number(0...Int.max, "LEASE (id)"))
        } else if grammar.options.contains(.timeToLive), arguments.matches("ttl", at: index) {
            timeToLiveMilliseconds = try number(1...Self.timeToLiveMillisecondsMax, "TTL (milliseconds)")
        } else if grammar.options.contains(.tokens), arguments.matches("tokens", at: index) {
            tokenCount = UInt32(clamping: try number(0...Int(UInt32.max), "TOKENS"))
        } else if grammar.options.contains(.prefetch), arguments.matches("prefetch", at: index) {
            prefetches = true
            return index + 1
        } else if grammar.options.contains(.kept), arguments.matches("kept", at: index) {
            keptOnly = true
            return index + 1
        } else if grammar.options.contains(.pin), arguments.matches("pin", at: index) {
            pins = true
            return index + 1
        } else if grammar.options.contains(.durable), arguments.matches("durable", at: index) {
            isDurable = true
            return index + 1
        } else if grammar.options.contains(.acknowledgement), arguments.matches("ack", at: index) {
            if arguments.matches("durable", at: index + 1) {
                isDurable = true
            } else if arguments.matches("owner", at: index + 1) {
                waitsForOwner = true
            } else if !arguments.matches("near", at: index + 1) {
                throw CommandError(text: "ERR ACK takes near, owner or durable")
            }
        } else if grammar.options.contains(.created), arguments.matches("created", at: index) {
            createdAt = UInt64(try number(0...Int.max, "CREATED (milliseconds since 1970)"))
        } else if grammar.options.contains(.deleted), arguments.matches("at", at: index) {
            deletedAt = UInt64(try number(0...Int.max, "AT (milliseconds since 1970)"))
        } else if grammar.options.contains(.checksum), arguments.matches("xxh3", at: index) {
            payloadChecksum = UInt64(bitPattern: Int64(try number(Int.min...Int.max, "XXH3")))
        } else {
            throw grammar.usage("'\(arguments.text(at: index).prefix(64))' is not expected")
        }
        return index + 2
    }

    /// Longest time to live, milliseconds: ten years.
    static let timeToLiveMillisecondsMax = 10 * 366 * 86_400_000

    /// The options that a verb takes.
    private struct Grammar {
        enum Option {
            case lease, leaseID, prefetch, timeToLive, tokens, pin, durable, acknowledgement, checksum, kept
            case created, deleted
        }

        let name: String
        let options: Set<Option>
        let listLetters: StaticString
        let listWord: String
        let form: String

        init(_ command: Command, isOfPeer: Bool) {
            name = command.rawValue.uppercased()
            listLetters = command.takesPairs ? "blocks" : "keys"
            listWord = command.takesPairs ? "BLOCKS" : "KEYS"
            let (options, form): (Set<Option>, String) =
                switch command {
                case .kvHeld: ([.lease, .prefetch, .kept], "ns [LEASE ms] [PREFETCH] [KEPT] KEYS n key ...")
                case .kvMatch: ([.lease, .prefetch], "ns [LEASE ms] [PREFETCH] KEYS n key ...")
                case .kvGet: ([.leaseID], "ns [LEASE id] KEYS n key ...")
                case .kvPut:
                    (
                        [.timeToLive, .tokens, .pin, .durable, .acknowledgement, .checksum],
                        "ns [TTL ms] [TOKENS n] [PIN] [DURABLE | ACK near|owner|durable] [XXH3 sum] BLOCKS n key payload ..."
                    )
                case .kvReserve:
                    (
                        [.timeToLive, .tokens, .pin, .durable],
                        "ns [TTL ms] [TOKENS n] [PIN] [DURABLE] BLOCKS n key bytes ..."
                    )
                case .kvPin: ([.timeToLive], "ns [TTL ms] KEYS n key ...")
                default: ([], "ns KEYS n key ...")
                }
            self.options = isOfPeer ? options.union(command == .kvPut ? [.created] : [.deleted]) : options
            self.form = form
        }

        func usage(_ problem: String) -> CommandError {
            CommandError(text: "ERR syntax error: \(problem); the form is \(name) \(form)")
        }
    }
}

extension Command {
    /// Whether the verb's list is of pairs: a key and what belongs to it.
    var takesPairs: Bool { self == .kvPut || self == .kvReserve }
}
