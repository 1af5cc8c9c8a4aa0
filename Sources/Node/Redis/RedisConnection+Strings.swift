internal import Blocks
internal import MemoryTier
internal import NIOCore
internal import RESP
internal import Tiering

extension RedisConnection {
    /// GET key
    func get() {
        let space = databaseSpace
        read(key: 1, provesChecksum: false) { connection, lease in
            guard let lease, connection.send(lease, from: space) else { return connection.missed(key: 1) }
            connection.remember(lease, key: 1)
        }
    }

    /// MGET key [key ...]
    func getMany() {
        sendMany(1..<arguments.count, from: databaseSpace)
    }

    /// STRLEN key
    func lengthOfValue() {
        reply.integer(summary(key: 1)?.payloadByteCount ?? 0)
    }

    /// GETRANGE key start end
    func getRange() {
        guard let start = arguments.integer(at: 2), let end = arguments.integer(at: 3) else {
            return fail(Self.notAnInteger)
        }
        guard let byteCount = summary(key: 1)?.payloadByteCount,
            !ByteRange.range(from: start, through: end, of: byteCount).isEmpty
        else { return reply.bulk("") }
        read(key: 1) { connection, lease in
            guard let lease else { return connection.reply.bulk("") }
            let range = ByteRange.range(from: start, through: end, of: lease.payloadByteCount)
            if range.isEmpty { connection.reply.bulk("") } else { connection.sendProved(lease, range) }
        }
    }

    /// Looks the key up, from disk if need be, and goes on with its lease or `nil`.
    func read(
        key index: Int,
        provesChecksum: Bool = true,
        _ body: @escaping (RedisConnection, BlockLease?) -> Void
    ) {
        guard arguments.isKey(at: index) else { return body(self, nil) }
        let space = databaseSpace
        switch store.lookup(space, key: arguments.key(at: index), provesChecksum: provesChecksum) {
        case .memory(let lease):
            body(self, lease)
        case .absent:
            body(self, nil)
        case .stored:
            let completion = later { (connection: RedisConnection, leases: [BlockLease?]) in
                body(connection, leases.first ?? nil)
            }
            store.load(space, keys: arguments.keys(at: CollectionOfOne(index)), completion)
        }
    }

    /// An array of payload or nil for keys, streamed from the arena under leases.
    func sendMany(_ indices: Range<Int>, from space: KeySpace) {
        reply.array(indices.count)
        readMany(indices, in: space) { connection, lease in
            let isSent = lease.map { connection.send($0, from: space) } ?? false
            if !isSent { connection.reply.null() }
        }
    }

    /// Looks keys up and goes on with a lease or `nil` for each, in their order: with those in memory at once, with
    /// others as they arrive from disk or from other nodes. Keys that are not `wanted` are `nil`.
    ///
    /// Goes on in turns of a bounded length, and only while the client takes what was sent.
    func readMany(
        _ indices: Range<Int>,
        among wanted: [Int]? = nil,
        in space: KeySpace,
        _ body: @escaping (RedisConnection, BlockLease?) -> Void
    ) {
        goOn(ManyRead(indices, among: wanted, in: space, body))
    }

    private func goOn(_ read: ManyRead) {
        var turn = TurnBudget(now: store.clock.monotonicNanoseconds())
        while phase != .closed {
            if read.queue.isEmpty, !read.beginWindow(self) { return }
            guard let lease = read.next() else {
                // What is there goes out meanwhile.
                deliverMeanwhile()
                let resume = later { (connection: RedisConnection, _: Void) in connection.goOn(read) }
                read.arrivals?.whenMore { resume(()) }
                return
            }
            read.body(self, lease)
            turn.spend(byteCount: lease?.payloadByteCount ?? 0)
            if reply.buffer.readableBytes >= Self.gatheredByteCount { handOver() }
            guard !read.isFinished, !isMuted else { continue }
            let isTaken = transport?.isWritable ?? false
            guard !isTaken || turn.isSpent(now: store.clock.monotonicNanoseconds()) else { continue }
            deliverMeanwhile()
            return pause { $0.goOn(read) }
        }
    }

    /// What is known of a key without reading it.
    func summary(key index: Int) -> BlockSummary? {
        guard arguments.isKey(at: index) else { return nil }
        return store.summary(databaseSpace, key: arguments.key(at: index))?.summary
    }

    /// Whether the client is of the kind that hangs on a plain nil.
    private var mayNeedPaddedNil: Bool { !session.saidHello }

    /// Remembers a value's length for the misses of its group.
    private func remember(_ lease: BlockLease, key index: Int) {
        rememberLength(lease.payloadByteCount, key: index)
    }

    /// Remembers a stored value's length for the misses of its group.
    func rememberLength(_ byteCount: Int, key index: Int) {
        guard mayNeedPaddedNil, let user = session.user, arguments[index].count >= LMCacheKey.byteCountMin
        else { return }
        services.paddedNils.record(
            arguments.bytes(at: index),
            tenant: user.tenant,
            database: session.database,
            byteCount: byteCount
        )
    }

    private func missed(key index: Int) {
        if mayNeedPaddedNil, let user = session.user, arguments[index].count >= LMCacheKey.byteCountMin,
            let padded = services.paddedNils.reply(
                arguments.bytes(at: index),
                tenant: user.tenant,
                database: session.database
            )
        {
            counters.paddedNils.add()
            reply.buffer.writeString(padded)
        } else {
            reply.null()
        }
    }
}

/// GETRANGE's arithmetic.
enum ByteRange {
    /// The half-open range of bytes that Redis's inclusive, possibly negative bounds mean in a value of `byteCount`.
    static func range(from start: Int, through end: Int, of byteCount: Int) -> Range<Int> {
        guard byteCount > 0, !(start < 0 && end < 0 && start > end) else { return 0..<0 }
        let first = start < 0 ? max(0, byteCount + max(start, -byteCount)) : start
        let last = end < 0 ? max(0, byteCount + max(end, -byteCount)) : min(end, byteCount - 1)
        guard first <= last, first < byteCount else { return 0..<0 }
        return first..<last + 1
    }
}
