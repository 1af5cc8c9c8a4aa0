internal import ArgumentParser

/// What the load generator does over and over.
enum BenchOperation: String, CaseIterable, ExpressibleByArgument, Sendable {
    case get, set, mixed, exists, match, kvput, kvget

    /// Whether every RESP server knows it; the others are a node's own verbs.
    var isPlain: Bool {
        switch self {
        case .get, .set, .mixed, .exists: true
        case .match, .kvput, .kvget: false
        }
    }

    /// The nearest thing that a plain Redis server can do.
    var plainCounterpart: BenchOperation {
        switch self {
        case .get, .set, .mixed, .exists: self
        case .match: .exists
        case .kvput: .set
        case .kvget: .get
        }
    }

    /// Whether payloads travel, so that bytes a second are what counts.
    var movesPayloads: Bool { self != .exists && self != .match }

    /// Whether the keys must be there before.
    var needsKeys: Bool { self != .set && self != .kvput }

    /// Bytes of a value when nothing else is said.
    var defaultByteCount: Int { movesPayloads ? 2 << 20 : 64 }

    /// How many keys when nothing else is said.
    var defaultKeyCount: Int { movesPayloads ? 64 : 1_000 }

    /// How many keys one operation has when nothing else is said.
    var defaultBatch: Int { movesPayloads ? 1 : 1_000 }
}

/// How many operations are under way at once: connections, each with a pipeline.
struct BenchConcurrency: Hashable, Sendable, CustomStringConvertible {
    let connectionCount: Int
    let depth: Int

    /// Each connection has a thread.
    static let connectionCountMax = 1_024

    init(connectionCount: Int, depth: Int) {
        self.connectionCount = connectionCount
        self.depth = depth
    }

    /// Reads `4` (four connections, one operation each) or `4x8` (four connections, eight operations each); `nil` for
    /// the rest, or more than 4,096 in all.
    init?(_ text: String) {
        let parts = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count <= 2, let first = parts.first, let connectionCount = first, connectionCount > 0,
            connectionCount <= Self.connectionCountMax
        else { return nil }
        let depth = parts.count == 2 ? parts[1] : 1
        guard let depth, depth > 0, depth <= 4_096 / connectionCount else { return nil }
        self.connectionCount = connectionCount
        self.depth = depth
    }

    /// `4x8`.
    var description: String { "\(connectionCount)x\(depth)" }
}

extension BenchConcurrency: ExpressibleByArgument {
    init?(argument: String) { self.init(argument) }
}

/// One measurement: what is done, with how much, how often.
struct BenchCase: Hashable, Sendable {
    let operation: BenchOperation
    /// Bytes of a value.
    let byteCount: Int
    let keyCount: Int
    /// Keys of one operation.
    let batch: Int
    let concurrency: BenchConcurrency
    /// Share of GET in mixed, per cent.
    let readPercent: Int
    /// Whether every payload is compared in the timed part too.
    let verifiesInside: Bool

    /// The same for a server that knows only Redis's verbs.
    var plainCounterpart: BenchCase {
        BenchCase(
            operation: operation.plainCounterpart,
            byteCount: byteCount,
            keyCount: keyCount,
            batch: batch,
            concurrency: concurrency,
            readPercent: readPercent,
            verifiesInside: verifiesInside
        )
    }
}

/// How long one round lasts.
enum BenchLength: Hashable, Sendable {
    /// So many nanoseconds.
    case time(UInt64)
    /// So many operations, over all connections.
    case operations(Int)
    /// Every operation that there is once, in any order.
    case once
}
