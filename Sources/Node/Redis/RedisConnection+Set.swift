internal import Blocks
internal import MemoryTier
internal import RESP
internal import Tiering

extension RedisConnection {
    /// SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]
    func set() {
        let options: SetOptions
        do {
            options = try SetOptions(arguments, from: 3, now: store.clock.unixMilliseconds())
        } catch {
            return fail(error.text)
        }
        guard options.returnsOld else { return set(options, old: nil) }
        read(key: 1) { connection, lease in connection.set(options, old: lease) }
    }

    /// SETEX key seconds value, PSETEX key milliseconds value
    func setWithTime(unit: TimeUnit) {
        do {
            let expiresAt = try SetOptions.expiry(
                arguments,
                at: 2,
                unit: unit,
                isAbsolute: false,
                now: store.clock.unixMilliseconds(),
                command: unit == .seconds ? "setex" : "psetex"
            )
            put(value: 3, PutOptions.redis(expiresAt: expiresAt)) { connection, _ in
                connection.reply.simple("OK")
            }
        } catch {
            fail(error.text)
        }
    }

    /// SETNX key value
    func setIfAbsent() {
        guard summary(key: 1) == nil else { return reply.integer(0) }
        var options = PutOptions()
        options.replaces = false
        put(value: 2, options) { connection, outcome in connection.reply.integer(outcome == .stored ? 1 : 0) }
    }

    /// MSET key value [key value ...]
    func setMany() {
        guard !arguments.count.isMultiple(of: 2) else { return fail(Self.wrongArgumentCount("mset")) }
        gather(Array(stride(from: 1, to: arguments.count, by: 2))[...], [])
    }

    /// Takes places for all values before it commits the first: all are set or none.
    func gather(_ keyIndices: ArraySlice<Int>, _ gathered: [ReceivedPayload]) {
        var gathered = gathered
        var rest = keyIndices
        while let keyIndex = rest.popFirst() {
            let later = rest
            var isDone = false
            var isSuspended = false
            withValue(at: keyIndex + 1, key: keyIndex, in: databaseSpace) { connection, result in
                switch result {
                case .failure(let error):
                    connection.fail(error)
                    isDone = true
                case .success(let payload):
                    gathered.append(payload)
                    if isSuspended { connection.gather(later, gathered) }
                }
            }
            isSuspended = phase == .waiting
            guard !isDone, !isSuspended else { return }
        }
        let space = databaseSpace
        for payload in gathered {
            if case .refused(let error) = commit(payload, in: space, .redis()) {
                return fail(error)
            }
        }
        reply.simple("OK")
    }

    /// The value that was there before, proved when it was looked up.
    private func answer(_ old: BlockLease?) {
        if let old { sendProved(old, 0..<old.payloadByteCount) } else { reply.null() }
    }

    private func set(_ options: SetOptions, old: BlockLease?) {
        let isHeld = options.condition != .always && summary(key: 1) != nil
        if options.condition == .ifAbsent && isHeld || options.condition == .ifPresent && !isHeld {
            return answer(old)
        }
        var putOptions = PutOptions.redis(expiresAt: options.expiresAt ?? 0)
        putOptions.keepsTimeToLive = options.keepsTimeToLive
        putOptions.replaces = options.condition != .ifAbsent
        put(value: 2, putOptions) { connection, outcome in
            if options.returnsOld {
                connection.answer(old)
            } else if options.condition == .ifAbsent, outcome != .stored {
                connection.reply.null()
            } else {
                connection.reply.simple("OK")
            }
        }
    }

    private func commit(
        _ payload: ReceivedPayload,
        in space: KeySpace,
        _ options: PutOptions
    ) -> PutOutcome {
        store.commit(payload.reservation, in: space, options, payloadChecksum: payload.checksum).outcome
    }

    /// Stores the value at `valueIndex` under key 1 and goes on with the outcome; answers a refusal itself.
    private func put(
        value valueIndex: Int,
        _ options: PutOptions,
        _ body: @escaping (RedisConnection, PutOutcome) -> Void
    ) {
        let space = databaseSpace
        withValue(at: valueIndex, key: 1, in: space) { connection, result in
            switch result {
            case .failure(let error):
                connection.fail(error)
            case .success(let payload):
                let byteCount = payload.reservation.payloadByteCount
                let outcome = connection.commit(payload, in: space, options)
                if case .refused(let error) = outcome { return connection.fail(error) }
                connection.rememberLength(byteCount, key: 1)
                body(connection, outcome)
            }
        }
    }
}

extension PutOptions {
    /// As Redis's SET: replaces what is there.
    static func redis(expiresAt: UInt64 = 0) -> PutOptions {
        var options = PutOptions()
        options.replaces = true
        options.expiresAt = expiresAt
        return options
    }
}
