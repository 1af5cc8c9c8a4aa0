internal import Blocks
internal import ControlPlane
internal import Logging
internal import NIOCore
internal import Synchronization
internal import Tiering

/// The node's control plane: who notes and tells events for its subscribers, and its server.
final class ControlPart: Sendable {
    /// Goes into the store's configuration.
    let notes: EventNotes

    private let feed: EventFeed
    private let counters = EventCounters()
    /// What the server counts.
    let serverCounters = ControlCounters()
    private let configuration: NodeConfiguration
    private let logger: Logger
    private let running = Mutex<(server: ControlServer?, publisher: EventPublisher?)>((nil, nil))

    /// The events' side has no sockets of its own: only the bounds of its notes and announced blocks count.
    private static let eventConfiguration = EventConfiguration(port: 0, podID: "")

    init(_ configuration: NodeConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        let notes = EventNotes(countMax: Self.eventConfiguration.noteCountMax, counters: counters)
        self.notes = notes
        feed = EventFeed(limits: configuration.controlLimits) { notes.bell.ring() }
    }

    /// Begins to note events and to answer calls; returns the port.
    ///
    /// - Parameters:
    ///   - backend: What answers; the node's own store without one.
    ///   - address: HOST:PORT of the RESP listener.
    func start(
        _ services: NodeServices,
        backend: (any ControlBackend)? = nil,
        address: String
    ) async throws -> Int {
        let publisher = EventPublisher(
            notes: notes,
            outlet: feed,
            grouping: .bySpace,
            store: services.store,
            configuration: Self.eventConfiguration,
            counters: counters
        )
        publisher.start()
        running.withLock { $0.publisher = publisher }
        let server = try await ControlServer.start(
            try await serverConfiguration(),
            backend: backend ?? self.backend(services, address: address),
            events: feed,
            check: services.authenticator,
            counters: serverCounters
        )
        running.withLock { $0.server = server }
        return server.port
    }

    /// Says to probes and balancers that new work belongs elsewhere.
    func beginDraining() {
        running.withLock { $0.server }?.beginDraining()
    }

    /// Ends subscriptions, gives the other calls their time, and closes; then the events end.
    func stop() async {
        let (server, publisher) = running.withLock { $0 }
        await server?.stop(within: configuration.connectionDrainTimeout)
        feed.close()
        if let publisher { await Blocking.run { publisher.stop() } }
    }

    private func serverConfiguration() async throws -> ControlServerConfiguration {
        let (host, port) = (configuration.controlHost, configuration.controlPort ?? 0)
        let address = try await Blocking.run {
            Result { try SocketAddress.makeAddressResolvingHost(host, port: port) }
        }
        .get()
        let isOpen = (try? HostRule.checkWithoutUsers(address)) == nil
        if configuration.users == nil { try HostRule.checkWithoutUsers(address) }
        if isOpen, configuration.controlTLS == nil {
            logger.warning(
                "passwords of the control plane cross the network in the clear: give it a certificate",
                metadata: ["host": "\(host)"]
            )
        }
        guard let ipAddress = address.ipAddress else {
            throw CacheError(.invalidArgument, "the control plane needs an IP address, not \(host)")
        }
        var server = ControlServerConfiguration(address: ipAddress, port: port)
        server.tls = configuration.controlTLS
        server.limits = configuration.controlLimits
        server.limits.putByteCountMax = min(
            server.limits.putByteCountMax,
            Int(Double(configuration.memoryByteCount) * configuration.limits.reservedShareMax)
        )
        return server
    }

    private func backend(_ services: NodeServices, address: String) -> any ControlBackend {
        let local = storeBackend(services, address: address)
        guard let cluster = services.cluster else { return local }
        return ClusterBackend(cluster: cluster, local: local, store: services.store)
    }

    private func storeBackend(_ services: NodeServices, address: String) -> StoreBackend {
        let configuration = configuration
        return StoreBackend(
            store: services.store,
            identity: StoreBackend.Identity(
                name: configuration.events?.podID ?? address,
                address: address,
                memoryByteCount: configuration.memoryByteCount,
                diskByteCount: configuration.dataDirectory == nil ? 0 : configuration.diskByteCount
            ),
            spaceTimeout: configuration.limits.spaceTimeout,
            nodeFigures: { services.fields }
        )
    }
}
