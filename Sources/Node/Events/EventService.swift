internal import Blocks
internal import Glibc
internal import KVEvents
internal import NIOCore
internal import NIOPosix
internal import Synchronization
internal import Tiering

/// The node's KV events: who notes, who tells, and the two sockets.
final class EventService: Sendable {
    let configuration: EventConfiguration
    let counters = EventCounters()
    /// Goes into the store's configuration.
    let notes: EventNotes
    private let hub: EventHub
    private let group: MultiThreadedEventLoopGroup
    private let publisher = Mutex<EventPublisher?>(nil)
    private let channels = Mutex<[any Channel]>([])

    init(_ configuration: EventConfiguration, group: MultiThreadedEventLoopGroup) {
        self.configuration = configuration
        self.group = group
        notes = EventNotes(countMax: configuration.noteCountMax, counters: counters)
        hub = EventHub(
            configuration: configuration,
            counters: counters,
            eventLoops: Array(group.makeIterator())
        )
    }

    /// Opens the sockets; returns their ports.
    func listen() async throws -> (port: Int?, replayPort: Int?) {
        let port = try await bind(.publisher, port: configuration.port)
        guard let wanted = configuration.replayPort else { return (port, nil) }
        return (port, try await bind(.router, port: wanted))
    }

    /// Begins to tell what the store holds.
    func start(_ store: BlockStore) {
        let publisher = EventPublisher(
            notes: notes,
            outlet: hub,
            grouping: .byModel(podID: configuration.podID),
            store: store,
            configuration: configuration,
            counters: counters
        )
        publisher.start()
        self.publisher.withLock { $0 = publisher }
    }

    /// Tells that nothing is held any more, and closes everything; blocks the publisher's last moment.
    func stop() async {
        let publisher = publisher.withLock { publisher in
            defer { publisher = nil }
            return publisher
        }
        if let publisher { await Blocking.run { publisher.stop() } }
        for channel in channels.withLock({ $0 }) { try? await channel.close() }
        hub.close()
    }

    private func bind(_ role: ZMTPSession.Role, port: Int) async throws -> Int? {
        let host = configuration.host
        let address = try await Blocking.run {
            Result { try SocketAddress.makeAddressResolvingHost(host, port: port) }
        }
        .get()
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            // A peer that is gone without a word is found after 15 + 3 * 5 s.
            .childChannelOption(.tcpOption(.init(rawValue: TCP_KEEPIDLE)), value: 15)
            .childChannelOption(.tcpOption(.init(rawValue: TCP_KEEPINTVL)), value: 5)
            .childChannelOption(.tcpOption(.init(rawValue: TCP_KEEPCNT)), value: 3)
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture { try accept(channel, role) }
            }
            .bind(to: address)
            .get()
        channels.withLock { $0.append(channel) }
        return channel.localAddress?.port
    }

    /// Called on the connection's event loop before it is active.
    private func accept(_ channel: any Channel, _ role: ZMTPSession.Role) throws {
        guard let peers = hub.peers(on: channel.eventLoop),
            counters.peersNow.increment() <= configuration.peerCountMax
        else {
            counters.peersNow.add(-1)
            counters.peersRefused.add()
            return channel.close(promise: nil)
        }
        let counters = counters
        channel.closeFuture.whenComplete { _ in counters.peersNow.add(-1) }
        try channel.pipeline.syncOperations.addHandler(EventPeerHandler(role: role, hub: hub, peers: peers))
    }
}
