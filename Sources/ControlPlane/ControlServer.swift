internal import Blocks
internal import GRPCCore
internal import GRPCNIOTransportHTTP2Posix
internal import NIOCore
internal import NIOPosix

/// The control plane: larder.v1 and grpc.health.v1 on one port.
package final class ControlServer: Sendable {
    /// Where it listens.
    package let port: Int

    private let server: GRPCServer<HTTP2ServerTransport.Posix>
    private let serving: Task<Void, any Error>
    private let health: HealthBoard
    private let calls: TicketCounter
    private let endEvents: @Sendable () -> Void

    private static let services = ["larder.v1.Control", "larder.v1.Blocks", "larder.v1.Events"]
    /// Time for connections to close after their calls have ended.
    private static let closingTime: Duration = .seconds(2)

    private init(
        port: Int,
        server: GRPCServer<HTTP2ServerTransport.Posix>,
        serving: Task<Void, any Error>,
        health: HealthBoard,
        calls: TicketCounter,
        endEvents: @escaping @Sendable () -> Void
    ) {
        self.port = port
        self.server = server
        self.serving = serving
        self.health = health
        self.calls = calls
        self.endEvents = endEvents
    }

    /// Listens; returns once connections are accepted.
    ///
    /// - Parameters:
    ///   - configuration: Where and how.
    ///   - backend: What answers.
    ///   - events: Where events come from.
    ///   - check: Knows the users; `nil` on a node without.
    ///   - counters: What counts the bounds that are enforced.
    package static func start(
        _ configuration: ControlServerConfiguration,
        backend: any ControlBackend,
        events: EventFeed,
        check: (any CallerCheck)?,
        counters: ControlCounters
    ) async throws -> ControlServer {
        let limits = configuration.limits
        let values = RequestValues(backend: backend, limits: limits)
        let health = HealthBoard()
        let calls = TicketCounter(countMax: limits.callCountMax)
        let connections = ConnectionBook(limits, counters)
        let transport = HTTP2ServerTransport.Posix(
            address: configuration.address.contains(":")
                ? .ipv6(host: configuration.address, port: configuration.port)
                : .ipv4(host: configuration.address, port: configuration.port),
            transportSecurity: security(configuration.tls),
            config: transportConfiguration(limits, connections),
            // Not the data plane's loops: TLS and large messages here do not hold up blocks there.
            eventLoopGroup: .singletonMultiThreadedEventLoopGroup
        )
        let server = GRPCServer(
            transport: transport,
            services: [
                ControlService(backend: backend, values: values),
                BlocksService(
                    backend: backend,
                    values: values,
                    transfers: TicketCounter(countMax: limits.transferCountMax),
                    putBytes: TicketCounter(countMax: limits.putByteCountMax)
                ),
                EventsService(
                    backend: backend,
                    values: values,
                    source: events,
                    subscribers: TicketCounter(countMax: limits.subscriberCountMax),
                    snapshots: TicketCounter(countMax: limits.snapshotCountMax)
                ),
                HealthService(board: health, services: Set([""] + services)),
            ],
            interceptors: [
                CallGate(limits, check: check, connections: connections, counters: counters, calls: calls)
            ]
        )
        let serving = Task { try await server.serve() }
        do {
            let address = try await transport.listeningAddress
            return ControlServer(
                port: address.ipv4?.port ?? address.ipv6?.port ?? 0,
                server: server,
                serving: serving,
                health: health,
                calls: calls,
                endEvents: { events.close() }
            )
        } catch {
            // The reason is what serving ended with: the system's error when the address is taken.
            do { try await serving.value } catch let error as RuntimeError {
                throw Self.explained(error.root, configuration)
            }
            throw error
        }
    }

    private static func explained(
        _ error: any Error,
        _ configuration: ControlServerConfiguration
    ) -> any Error {
        guard configuration.tls != nil, !(error is IOError) else { return error }
        return CacheError(
            .invalidArgument,
            "the control plane's TLS cannot be set up (\(error)): certificate, key and client CA are PEM files, and the"
                + " key is the certificate's"
        )
    }

    /// Says to everyone who asks that new work belongs elsewhere; calls are still answered.
    package func beginDraining() {
        health.set(.draining)
    }

    /// Ends subscriptions, gives the other calls their time, and closes.
    package func stop(within limit: Duration) async {
        health.set(.stopped)
        endEvents()
        let end = ContinuousClock.now + limit
        while calls.value > 0, ContinuousClock.now < end { try? await Task.sleep(for: .milliseconds(10)) }
        server.beginGracefulShutdown()
        let serving = serving
        await withTaskGroup(of: Void.self) { group in
            group.addTask { _ = try? await serving.value }
            group.addTask {
                // Whoever has not closed by then is cut.
                if (try? await Task.sleep(for: Self.closingTime)) != nil { serving.cancel() }
            }
            await group.next()
            group.cancelAll()
        }
        _ = try? await serving.value
    }

    private static func security(_ tls: ControlTLS?) -> HTTP2ServerTransport.Posix.TransportSecurity {
        guard let tls else { return .plaintext }
        return .tls(
            certificateChain: [.file(path: tls.certificatePath, format: .pem)],
            privateKey: .file(path: tls.keyPath, format: .pem)
        ) { configuration in
            guard let path = tls.clientCAPath else { return }
            configuration.clientCertificateVerification = .noHostnameVerification
            configuration.trustRoots = .certificates([.file(path: path, format: .pem)])
        }
    }

    private static func transportConfiguration(
        _ limits: ControlLimits,
        _ connections: ConnectionBook
    ) -> HTTP2ServerTransport.Posix.Config {
        .defaults { configuration in
            configuration.rpc.maxRequestPayloadSize = limits.messageByteCountMax
            configuration.http2.maxConcurrentStreams = limits.callsPerConnectionMax
            configuration.http2.targetWindowSize = 1 << 20
            configuration.connection.maxIdleTime = .seconds(600)
            // Finds clients that are gone without a word, in 40 s.
            configuration.connection.keepalive.time = .seconds(30)
            configuration.connection.keepalive.timeout = .seconds(10)
            configuration.connection.keepalive.clientBehavior.allowWithoutCalls = true
            configuration.connection.keepalive.clientBehavior.minPingIntervalWithoutCalls = .seconds(5)
            configuration.channelDebuggingCallbacks.onAcceptTCPConnection = { connections.accept($0) }
        }
    }
}

extension RuntimeError {
    /// The error that all others came from.
    fileprivate var root: any Error {
        guard let cause else { return self }
        return (cause as? RuntimeError)?.root ?? cause
    }
}
