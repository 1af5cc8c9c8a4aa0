internal import Blocks
internal import Glibc
internal import NIOCore
internal import NIOPosix
internal import Tiering

/// Accepts connections and gives each its driver.
struct Listener: Sendable {
    /// What the connections speak.
    enum Speech { case redis, lm }

    let group: MultiThreadedEventLoopGroup
    let keepers: [ObjectIdentifier: LoopKeeper]
    let services: NodeServices

    /// Connections that may wait to be accepted.
    private static let backlog: Int32 = 1024
    /// What a connection too many is told.
    private static let refusal = "-ERR max number of clients reached\r\n"

    /// Listens on a TCP address.
    func listen(_ speech: Speech, at address: SocketAddress) async throws -> any Channel {
        try await bootstrap(speech, isTCP: true).bind(to: address).get()
    }

    /// Listens on a Unix socket that is bound already.
    func listen(_ speech: Speech, on descriptor: CInt) async throws -> any Channel {
        try await bootstrap(speech, isTCP: false).withBoundSocket(descriptor).get()
    }

    private func bootstrap(_ speech: Speech, isTCP: Bool) -> ServerBootstrap {
        let limits = services.configuration.limits
        var bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: Self.backlog)
            .childChannelOption(.autoRead, value: false)
            // See ArenaReceiveAllocator: NIO's pool then never reuses a buffer.
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(
                .writeBufferWaterMark,
                value: .init(low: limits.outputByteCountLow, high: limits.outputByteCountHigh)
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try accept(channel, speech) }
            }
        if isTCP {
            bootstrap =
                bootstrap
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelOption(.socketOption(.so_keepalive), value: 1)
                // A peer that is gone without a word is found after 15 + 3 * 5 s.
                .childChannelOption(.tcpOption(.init(rawValue: TCP_KEEPIDLE)), value: 15)
                .childChannelOption(.tcpOption(.init(rawValue: TCP_KEEPINTVL)), value: 5)
                .childChannelOption(.tcpOption(.init(rawValue: TCP_KEEPCNT)), value: 3)
        }
        return bootstrap
    }

    /// Called on the connection's event loop before it is active.
    private func accept(_ channel: any Channel, _ speech: Speech) throws {
        let counters = services.counters
        let limits = services.configuration.limits
        guard let keeper = keepers[ObjectIdentifier(channel.eventLoop)],
            counters.connectionsNow.increment() <= limits.connectionCountMax
        else {
            counters.connectionsNow.add(-1)
            counters.connectionsRefused.add()
            let text = speech == .redis ? Self.refusal : ""
            return try channel.pipeline.syncOperations.addHandler(RefusalHandler(text: text))
        }
        counters.connectionsAccepted.add()
        channel.closeFuture.whenComplete { _ in counters.connectionsNow.add(-1) }
        LoopbackCongestion.turnOff(channel)
        let allocator = ArenaReceiveAllocator(pool: keeper.pool)
        try channel.syncOptions?.setOption(.recvAllocator, value: allocator)
        let record = services.connections.add(
            address: Self.text(channel.remoteAddress),
            localAddress: Self.text(channel.localAddress),
            now: services.store.clock.monotonicNanoseconds()
        )
        let driver: any ConnectionDriver =
            switch speech {
            case .redis: RedisConnection(services: services, record: record, recorder: keeper.recorder)
            case .lm: LMConnection(services: services, id: record.id, recorder: keeper.recorder)
            }
        try channel.pipeline.syncOperations.addHandler(
            ConnectionHandler(
                driver: driver,
                keeper: keeper,
                allocator: allocator,
                limits: limits,
                counters: counters,
                replies: services.replies
            )
        )
    }

    private static func text(_ address: SocketAddress?) -> String {
        guard let address else { return "" }
        if let path = address.pathname { return "\(path):0" }
        let host = address.ipAddress ?? ""
        return (host.contains(":") ? "[\(host)]" : host) + ":\(address.port ?? 0)"
    }
}

/// Tells a connection too many so, and closes it.
private final class RefusalHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let text: String

    init(text: String) {
        self.text = text
    }

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        let sent = context.eventLoop.makePromise(of: Void.self)
        sent.futureResult.whenComplete { _ in channel.close(promise: nil) }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: sent)
    }
}
