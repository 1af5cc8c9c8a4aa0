package import Blocks
package import RESP

/// One node's way to another node of its cluster: the same connections, deadlines and breaker as a client's, with a
/// mutual proof instead of a password. Thread-safe.
package final class PeerLink: Sendable {
    /// Which connections a request may take.
    package enum Lane: Sendable {
        /// The one for what is small and urgent.
        case lookup
        /// The one with the least to do of those for payloads.
        case payload
        /// The one for blocks that are given to the peer, which may wait there for a disk.
        case transfer

        fileprivate var lane: NodeLink.Lane {
            switch self {
            case .lookup: .lookup
            case .payload: .payload
            case .transfer: .transfer
            }
        }
    }

    private let link: NodeLink

    /// Connects to `endpoint` when it is first used.
    ///
    /// - Parameters:
    ///   - connectionCount: Connections; the first is for look-ups.
    ///   - breaker: When the peer is left alone, and for how long.
    package init(
        endpoint: LarderEndpoint,
        greeting: PeerGreeting,
        connectionCount: Int,
        breaker: CircuitBreaker.Policy
    ) {
        var configuration = LarderClientConfiguration(endpoint: endpoint)
        configuration.connectionCount = connectionCount
        configuration.usesSharedMemory = false
        configuration.breaker = breaker
        configuration.greeting = greeting
        link = NodeLink(configuration)
    }

    /// Makes a namespace known to the peer before anything else is asked on a connection.
    ///
    /// - Parameter tenant: who knows it there; `nil` for nobody yet.
    package func describe(_ description: NamespaceDescription, for tenant: Tenant? = nil) {
        link.namespaces.add(description, for: tenant)
    }

    /// Sends one request; `completion` is called once, on a thread of the link's or before this returns, at the deadline
    /// at the latest. By then neither the receiver nor the request's payloads are touched any more.
    ///
    /// - Parameter asksBreaker: Whether a peer that failed a moment ago is not asked at all.
    package func submit(
        _ request: EncodedRequest,
        _ lane: Lane,
        receiver: any ReplyReceiver,
        timeout: Duration,
        asksBreaker: Bool = true,
        _ completion: @escaping @Sendable (Result<Void, LarderClientError>) -> Void
    ) {
        let effort = asksBreaker ? CallEffort.engine(timeout) : .tool(timeout)
        link.submit(request, lane.lane, receiver: receiver, effort, completion)
    }

    /// The same for a small reply; one that is an error is a failure.
    package func ask(
        _ request: EncodedRequest,
        _ lane: Lane = .lookup,
        timeout: Duration,
        asksBreaker: Bool = true,
        _ completion: @escaping @Sendable (Result<Reply, LarderClientError>) -> Void
    ) {
        exchange(request, lane, timeout: timeout, asksBreaker: asksBreaker) { result in
            completion(
                result.flatMap { reply in
                    if case .failure(let failure) = reply { return .failure(NodeLink.error(failure)) }
                    return .success(reply)
                }
            )
        }
    }

    /// The same for a small reply, whatever it is.
    package func exchange(
        _ request: EncodedRequest,
        _ lane: Lane,
        timeout: Duration,
        asksBreaker: Bool = true,
        _ completion: @escaping @Sendable (Result<Reply, LarderClientError>) -> Void
    ) {
        let receiver = TreeReceiver()
        submit(request, lane, receiver: receiver, timeout: timeout, asksBreaker: asksBreaker) { result in
            completion(
                result.flatMap {
                    receiver.reply.map { .success($0) }
                        ?? .failure(LarderClientError(.protocolViolation, "the reply is not whole"))
                }
            )
        }
    }

    /// What became of the calls so far.
    package var statistics: LarderClientStatistics { link.statistics.snapshot() }

    /// Ends all connections and calls.
    package func close() {
        link.close()
    }
}
