internal import Blocks
internal import RESP
internal import Tiering

extension RedisConnection {
    /// EXISTS key [key ...]: a key given twice counts twice.
    ///
    /// For a client that never sent HELLO each key found is leased for a short time, since LMCache's native client
    /// cannot take a miss of a key that it was told of.
    func exists() {
        let space = databaseSpace
        var count = 0
        for index in 1..<arguments.count where arguments.isKey(at: index) {
            if store.exists(space, key: arguments.key(at: index), takesLease: !session.saidHello) {
                count += 1
            }
        }
        reply.integer(count)
    }

    /// DEL and UNLINK key [key ...]
    func delete() {
        reply.integer(store.delete(databaseSpace, keys: arguments.keys(at: 1..<arguments.count)))
    }

    /// TOUCH key [key ...]
    func touch() {
        reply.integer(store.touch(databaseSpace, keys: arguments.keys(at: 1..<arguments.count)))
    }

    /// TYPE key
    func type() {
        if summary(key: 1) != nil { reply.simple("string") } else { reply.simple("none") }
    }

    /// TTL and its kin: -2 for no key, -1 for no expiry, else what `form` makes of the milliseconds that remain and of
    /// the time of expiry.
    func timeToLive(_ form: (_ remaining: Int, _ at: Int) -> Int) {
        guard let summary = summary(key: 1) else { return reply.integer(-2) }
        let expiresAt = Int(clamping: summary.attributes.expiresAt)
        guard expiresAt != 0 else { return reply.integer(-1) }
        reply.integer(form(max(0, expiresAt - Int(clamping: store.clock.unixMilliseconds())), expiresAt))
    }

    /// EXPIRE and its kin: key time [NX | XX | GT | LT]
    func expire(_ name: String, unit: TimeUnit, isAbsolute: Bool) {
        var (isNX, isXX, isGT, isLT) = (false, false, false, false)
        for index in 3..<max(3, arguments.count) {
            if arguments.matches("nx", at: index) {
                isNX = true
            } else if arguments.matches("xx", at: index) {
                isXX = true
            } else if arguments.matches("gt", at: index) {
                isGT = true
            } else if arguments.matches("lt", at: index) {
                isLT = true
            } else {
                return fail("ERR Unsupported option \(arguments.text(at: index))")
            }
        }
        if isNX && (isXX || isGT || isLT) {
            return fail("ERR NX and XX, GT or LT options at the same time are not compatible")
        }
        if isGT && isLT { return fail("ERR GT and LT options at the same time are not compatible") }
        guard let value = arguments.integer(at: 2) else { return fail(Self.notAnInteger) }
        let now = Int(clamping: store.clock.unixMilliseconds())
        let (expiresAt, overflows) = (unit.milliseconds(value) ?? .max).addingReportingOverflow(
            isAbsolute ? 0 : now
        )
        guard unit.milliseconds(value) != nil, !overflows else {
            return fail("ERR invalid expire time in '\(name)' command")
        }
        guard let old = summary(key: 1)?.attributes.expiresAt else { return reply.integer(0) }
        let current = old == 0 ? Int.max : Int(clamping: old)
        if isNX && old != 0 || isXX && old == 0 || isGT && expiresAt <= current
            || isLT && expiresAt >= current
        {
            return reply.integer(0)
        }
        if expiresAt <= now {
            _ = store.delete(databaseSpace, keys: arguments.keys(at: CollectionOfOne(1)))
            return reply.integer(1)
        }
        reply.integer(store.expire(databaseSpace, key: arguments.key(at: 1), at: UInt64(expiresAt)) ? 1 : 0)
    }

    /// PERSIST key
    func persist() {
        guard let summary = summary(key: 1), summary.attributes.expiresAt != 0 else {
            return reply.integer(0)
        }
        reply.integer(store.expire(databaseSpace, key: arguments.key(at: 1), at: 0) ? 1 : 0)
    }

    /// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]
    func scan() {
        // As Redis, which reads a negative cursor as a large one.
        let text = arguments.text(at: 1)
        guard let cursor = UInt64(text) ?? Int64(text).map(UInt64.init(bitPattern:)) else {
            return fail("ERR invalid cursor")
        }
        var pattern: GlobPattern?
        var count = 10
        var isString = true
        var index = 2
        while index < arguments.count {
            guard index + 1 < arguments.count else { return fail(Self.syntaxError) }
            if arguments.matches("match", at: index) {
                guard arguments[index + 1].count <= GlobPattern.byteCountMax else {
                    return fail("ERR MATCH takes a pattern of at most \(GlobPattern.byteCountMax) bytes")
                }
                pattern = GlobPattern(arguments.bytes(at: index + 1))
            } else if arguments.matches("count", at: index) {
                guard let value = arguments.integer(at: index + 1) else { return fail(Self.notAnInteger) }
                guard value >= 1 else { return fail(Self.syntaxError) }
                count = min(value, limits.batchKeyCountMax)
            } else if arguments.matches("type", at: index) {
                isString = arguments.matches("string", at: index + 1)
            } else {
                return fail(Self.syntaxError)
            }
            index += 2
        }
        if pattern != nil { count = min(count, Self.matchedCountMax) }
        let completion = later { (connection: RedisConnection, page: (keys: [[UInt8]], next: UInt64)) in
            let keys = isString ? page.keys.filter { pattern?.matches($0) ?? true } : []
            connection.reply.array(2)
            connection.reply.bulk(String(page.next))
            connection.reply.array(keys.count)
            for key in keys { connection.reply.bulk(bytes: key) }
        }
        store.scan(databaseSpace, cursor: cursor, count: count) { keys, next in completion((keys, next)) }
    }

    /// Keys that a pattern is held against in one page of SCAN.
    private static let matchedCountMax = 1_024

    /// FLUSHDB and FLUSHALL [ASYNC | SYNC]
    func flush(_ databases: [Int]) {
        guard
            arguments.count == 1
                || arguments.count == 2
                    && (arguments.matches("async", at: 1) || arguments.matches("sync", at: 1))
        else { return fail(Self.syntaxError) }
        guard let user = session.user else { return }
        for database in databases { _ = store.clear(space(of: user, database: database)) }
        reply.simple("OK")
    }
}
