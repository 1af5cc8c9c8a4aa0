internal import Blocks
internal import MemoryTier
internal import RESP
internal import Synchronization
internal import Tiering

extension RedisConnection {
    /// The KV.PUT that the arguments so far begin; `nil` when they are wrong, which is answered at the request's end.
    func beginPut(_ user: User) -> PutJob? {
        if let put { return put }
        guard let request = try? BlockRequest(.kvPut, arguments, limits, isOfPeer: session.peer != nil),
            let space = try? resolveNamespace(at: 1)
        else { return nil }
        put = PutJob(space: space, request: request, now: store.clock.unixMilliseconds())
        return put
    }

    /// A block's payload is whole: the block becomes visible at once, before the rest of the request has come.
    func commitBlock(payloadIndex: Int, _ payload: ReceivedPayload) {
        guard let put else { return }
        let block = put.block(payloadIndex: payloadIndex)
        let keyIndex = put.keyIndex(of: block)
        if let announced = put.request.payloadChecksum {
            let checksum =
                unsafe payload.checksum
                ?? PayloadChecksum.of(UnsafeRawBufferPointer(payload.reservation.payload))
            guard checksum == announced else {
                self.put?.outcomes[block] = .refused(
                    CacheError(.corruptBlock, "the payload has another XXH3 than announced")
                )
                return
            }
        }
        let result = store.commit(
            payload.reservation,
            in: put.space,
            options(put.options, keyIndex: keyIndex, isFirst: block == 0, in: put.space),
            payloadChecksum: payload.checksum
        )
        self.put?.outcomes[block] = result.outcome
        if let ticket = result.durability { self.put?.tickets.append((block, ticket)) }
    }

    /// How one block of a request's pairs is put: with the key before its own, when somebody wants to know.
    ///
    /// The pairs of one request are taken for neighbours in a chain; the first follows what the connection's last match
    /// has shown.
    func options(_ options: PutOptions, keyIndex: Int, isFirst: Bool, in space: KeySpace) -> PutOptions {
        guard services.tellsChains else { return options }
        var options = options
        options.predecessor =
            isFirst
            ? chain?.predecessor(of: arguments.bytes(at: keyIndex), prefix: space.prefix)
            : arguments.bytes(at: keyIndex - 2)
        return options
    }

    /// KV.PUT ns [TTL ms] [TOKENS n] [PIN] [DURABLE] BLOCKS n key payload ...
    func putBlocks() {
        guard let user = session.user else { return }
        do {
            let request = try BlockRequest(.kvPut, arguments, limits, isOfPeer: session.peer != nil)
            try request.check(.kvPut, arguments)
        } catch {
            return fail(error.text)
        }
        guard namespaceSpace(at: 1) != nil, beginPut(user) != nil else { return }
        putRest(from: 0)
    }

    /// Stores the blocks that came as small arguments, and accounts for those that were dropped.
    private func putRest(from first: Int) {
        guard let put else { return }
        var block = first
        while block < put.request.count {
            let current = block
            block += 1
            guard self.put?.outcomes[current] == .some(nil) else { continue }
            var isSuspended = false
            let keyIndex = put.keyIndex(of: current)
            withValue(at: keyIndex + 1, key: keyIndex, in: put.space) { connection, result in
                switch result {
                case .failure(let error): connection.put?.outcomes[current] = .refused(error)
                case .success(let payload):
                    connection.commitBlock(payloadIndex: keyIndex + 1, payload)
                }
                if isSuspended { connection.putRest(from: current + 1) }
            }
            isSuspended = phase == .waiting
            if isSuspended { return }
        }
        waitForDurability()
    }

    private func waitForDurability() {
        guard let put, !put.tickets.isEmpty else { return replyToPut() }
        let outcomes = put.outcomes
        whenDurable(put.tickets) { connection, failures in
            connection.put?.outcomes = outcomes.enumerated().map { failures[$0.offset] ?? $0.element }
            connection.replyToPut()
        }
    }

    /// Waits until blocks are durable; `body` gets the refusals of those that are not.
    func whenDurable(
        _ tickets: [(block: Int, ticket: DurabilityTicket)],
        _ body: @escaping (RedisConnection, [Int: PutOutcome]) -> Void
    ) {
        let completion = later { (connection: RedisConnection, errors: [CacheError?]) in
            var failures: [Int: PutOutcome] = [:]
            for (ticket, error) in zip(tickets, errors) {
                if let error { failures[ticket.block] = .refused(error) }
            }
            body(connection, failures)
        }
        let gathering = DurabilityGathering(count: tickets.count, completion)
        for (place, ticket) in tickets.enumerated() {
            store.whenDurable(ticket.ticket) { error in gathering.arrived(error, at: place) }
        }
    }

    private func replyToPut() {
        guard let put else { return }
        answer(put.outcomes)
    }

    /// What became of each block, as KV.PUT and KV.COMMIT reply it.
    func answer(_ outcomes: [PutOutcome?]) {
        reply.array(outcomes.count)
        for outcome in outcomes {
            switch outcome {
            case .stored: reply.simple("stored")
            case .exists: reply.simple("exists")
            case .conflict, .deleted, .refused: reply.simple(text: outcome?.replyText ?? "")
            case nil: reply.simple("refused")
            }
        }
    }
}

/// Waits for the durability of several blocks.
private final class DurabilityGathering: Sendable {
    private struct State {
        var errors: [CacheError?]
        var missing: Int
    }

    private let state: Mutex<State>
    private let completion: @Sendable ([CacheError?]) -> Void

    init(count: Int, _ completion: @escaping @Sendable ([CacheError?]) -> Void) {
        state = Mutex(State(errors: Array(repeating: nil, count: count), missing: count))
        self.completion = completion
    }

    func arrived(_ error: CacheError?, at place: Int) {
        let all: [CacheError?]? = state.withLock { state in
            state.errors[place] = error
            state.missing -= 1
            return state.missing == 0 ? state.errors : nil
        }
        if let all { completion(all) }
    }
}
