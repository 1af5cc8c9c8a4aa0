internal import Blocks
internal import RESP
internal import Synchronization

/// One node as the client sees it: connections, breaker, counters.
///
/// Its calls throw; the client's faces decide what becomes of that.
final class NodeLink: Sendable {
    let configuration: LarderClientConfiguration
    let namespaces = NamespaceRegistry()
    let statistics = ClientCounters()
    /// Whether the last connection is for transfers alone.
    private let keepsTransferLane: Bool
    private let health: EndpointHealth
    private let connections: [Connection]

    init(_ configuration: LarderClientConfiguration, clock: any CacheClock = SystemClock()) {
        self.configuration = configuration
        health = EndpointHealth(policy: configuration.breaker, clock: clock, counters: statistics)
        let settings = ConnectionSettings(
            configuration: configuration,
            namespaces: namespaces,
            health: health,
            counters: statistics
        )
        keepsTransferLane = configuration.greeting != nil && configuration.connectionCount > 2
        connections = (0..<min(max(configuration.connectionCount, 1), 64)).map { _ in Connection(settings) }
    }

    func close() {
        for connection in connections { connection.close() }
    }

    /// Which connection a request takes.
    enum Lane {
        /// The first: for what is small and urgent.
        case lookup
        /// The one of the others with the least to do.
        case payload
        /// The last, for payloads whose replies may take long: what is asked behind them would wait.
        case transfer
    }

    /// How many connections carry payloads.
    var payloadConnectionCount: Int { max(1, connections.count - 1) }

    /// Sends a request with a small reply.
    func ask(_ request: EncodedRequest, _ effort: CallEffort) async throws(LarderClientError) -> Reply {
        let receiver = TreeReceiver()
        try await send([Part(request: request, receiver: receiver)], .lookup, effort)[0].get()
        return try Self.answer(receiver.reply)
    }

    /// One request of a call that takes several.
    struct Part {
        let request: EncodedRequest
        let receiver: any ReplyReceiver
        /// The connection it must take; `nil` for any of the lane.
        var connection: Connection?
        /// Called on the connection's thread when the whole reply is there, before the call returns.
        var answered: (@Sendable () -> Void)?
    }

    /// Sends all parts of a call at once and waits for the last; throws when the node is not to be asked.
    func send(
        _ parts: [Part],
        _ lane: Lane,
        _ effort: CallEffort
    ) async throws(LarderClientError) -> [Result<Void, LarderClientError>] {
        statistics.count { $0.callCount += 1 }
        try admit(effort)
        return await withCheckedContinuation { continuation in
            let join = CallJoin(count: parts.count) { continuation.resume(returning: $0) }
            for (index, part) in parts.enumerated() {
                let connection = part.connection ?? connection(lane)
                connection.submit(part.request, receiver: part.receiver, timeout: effort.timeout) { result in
                    if case .success = result { part.answered?() }
                    join.finish(index, result)
                }
            }
        }
    }

    /// Sends one request; `completion` is called once, on a connection's thread or before this returns.
    func submit(
        _ request: EncodedRequest,
        _ lane: Lane,
        receiver: any ReplyReceiver,
        _ effort: CallEffort,
        _ completion: @escaping @Sendable (Result<Void, LarderClientError>) -> Void
    ) {
        statistics.count { $0.callCount += 1 }
        do throws(LarderClientError) {
            try admit(effort)
        } catch {
            count(error)
            return completion(.failure(error))
        }
        connection(lane).submit(request, receiver: receiver, timeout: effort.timeout) { [self] result in
            if case .failure(let error) = result { count(error) }
            completion(result)
        }
    }

    /// The reply, or the error that the node answered with.
    static func answer(_ reply: Reply?) throws(LarderClientError) -> Reply {
        switch reply {
        case nil: throw LarderClientError(.protocolViolation, "the reply is not whole")
        case .failure(let failure)?: throw error(failure)
        case let reply?: return reply
        }
    }

    static func error(_ failure: ReplyFailure) -> LarderClientError {
        if failure.code == "CLUSTERDOWN" {
            return LarderClientError(.incomplete, failure.text, silentNodes: silentNodes(failure.text))
        }
        let isUnknown = failure.code == "NOAUTH" || failure.code == "WRONGPASS" || failure.code == "NOPERM"
        return LarderClientError(isUnknown ? .unauthorized : .answeredWithError, failure.text)
    }

    /// The names in `... but a, b did not answer ...`; a node's name has neither spaces nor commas.
    private static func silentNodes(_ text: String) -> [String] {
        guard let end = text.firstRange(of: " did not answer"),
            let start = text[..<end.lowerBound].ranges(of: "but ").last
        else { return [] }
        return text[start.upperBound..<end.lowerBound].split(separator: ", ").map(String.init)
    }

    func count(_ error: LarderClientError) {
        statistics.count { $0.failureCounts[error.code, default: 0] += 1 }
    }

    // MARK: The breaker

    private func admit(_ effort: CallEffort) throws(LarderClientError) {
        guard effort.asksBreaker else { return }
        switch health.admit() {
        case .pass: return
        case .refuse: break
        case .refuseAndProbe: probe()
        }
        throw LarderClientError(.circuitOpen, "the node failed a moment ago")
    }

    /// Asks whether the node is back, beside all callers.
    private func probe() {
        var encoder = RequestEncoder()
        encoder.begin(argumentCount: 1)
        encoder.append("PING")
        let timeout = configuration.breaker.probeTimeout
        connections[0].submit(encoder.finish(), receiver: TreeReceiver(), timeout: timeout) {
            [health] result in
            if case .failure = result { health.probeFailed() }
        }
    }

    func connection(_ lane: Lane) -> Connection {
        switch lane {
        case .lookup: connections[0]
        case .payload:
            connections.dropFirst().dropLast(keepsTransferLane ? 1 : 0)
                .min { $0.pendingCallCount < $1.pendingCallCount } ?? connections[0]
        case .transfer: connections[connections.count - 1]
        }
    }
}

/// Waits for the last of several calls.
private final class CallJoin: Sendable {
    private struct State {
        var results: [Result<Void, LarderClientError>]
        var remaining: Int
    }

    private let state: Mutex<State>
    private let completion: @Sendable ([Result<Void, LarderClientError>]) -> Void

    init(count: Int, _ completion: @escaping @Sendable ([Result<Void, LarderClientError>]) -> Void) {
        state = Mutex(State(results: Array(repeating: .success(()), count: count), remaining: count))
        self.completion = completion
        if count == 0 { completion([]) }
    }

    func finish(_ index: Int, _ result: Result<Void, LarderClientError>) {
        let results = state.withLock { state -> [Result<Void, LarderClientError>]? in
            state.results[index] = result
            state.remaining -= 1
            return state.remaining == 0 ? state.results : nil
        }
        if let results { completion(results) }
    }
}
