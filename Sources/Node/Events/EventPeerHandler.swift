internal import KVEvents
internal import NIOCore

/// One peer of the PUB or the ROUTER socket: performs what its session decides. Confined to its event loop.
final class EventPeerHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// A request to repeat messages, as far as it is answered.
    private struct Replay {
        var next: UInt64
        let end: UInt64
    }

    private let role: ZMTPSession.Role
    private let hub: EventHub
    private let peers: EventLoopPeers
    private var session: ZMTPSession
    private var context: ChannelHandlerContext?
    private var handshakeDeadline: Scheduled<Void>?
    private var subscriptions: Set<[UInt8]> = []
    private var isSubscriber = false
    /// Since when messages are dropped while not a byte goes out.
    private var stall: (since: NIODeadline, byteCount: Int)?
    private var replays: [Replay] = []
    private var isReplaying = false

    /// Bytes beyond a subscriber's limit that answers to its commands may take.
    private static let answerByteCountMax = 64 << 10

    init(role: ZMTPSession.Role, hub: EventHub, peers: EventLoopPeers) {
        self.role = role
        self.hub = hub
        self.peers = peers
        session = ZMTPSession(role: role, limits: hub.configuration.peer)
    }

    private var configuration: EventConfiguration { hub.configuration }
    private var counters: EventCounters { hub.counters }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        peers.add(self)
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        handshakeDeadline = context.eventLoop.scheduleTask(in: TimeAmount(configuration.handshakeTimeout)) {
            bound.value.cut()
        }
        write(ByteBuffer(bytes: ZMTPFrame.greeting))
    }

    func channelInactive(context: ChannelHandlerContext) {
        handshakeDeadline?.cancel()
        self.context = nil
        peers.remove(self, isSubscriber: isSubscriber)
        counters.subscriptionsNow.add(-subscriptions.count)
        subscriptions = []
        isSubscriber = false
        replays = []
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        session.receive(unwrapInboundIn(data).readableBytesView)
        do {
            while self.context != nil, let event = try session.next() { perform(event) }
        } catch {
            cut()
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        replay()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    /// Closes the connection.
    func close() {
        context?.close(promise: nil)
    }

    /// Sends a message if the peer wants it and takes its messages fast enough.
    func offer(_ message: EventMessage) {
        guard let context, subscriptions.contains(where: { message.topic.starts(with: $0) }) else { return }
        let waiting = bufferedByteCount(context)
        guard waiting == 0 || waiting + message.frames.readableBytes <= configuration.subscriberByteCountMax
        else {
            counters.messagesDropped.add()
            return noteStall(waiting)
        }
        stall = nil
        counters.messagesSent.add()
        write(message.frames)
    }

    private func perform(_ event: ZMTPSession.Event) {
        switch event {
        case .send(let bytes):
            // Who asks and asks and takes no answer is cut.
            guard let context,
                bufferedByteCount(context) <= configuration.subscriberByteCountMax + Self.answerByteCountMax
            else { return cut() }
            write(ByteBuffer(bytes: bytes))
        case .ready:
            handshakeDeadline?.cancel()
            if role == .publisher {
                isSubscriber = true
                peers.subscribed()
            }
        case .subscribe(let topic):
            guard subscriptions.count < configuration.subscriptionCountMax else { return cut() }
            if subscriptions.insert(topic).inserted { counters.subscriptionsNow.add() }
        case .cancel(let topic):
            if subscriptions.remove(topic) != nil { counters.subscriptionsNow.add(-1) }
        case .message(let parts):
            request(parts)
        }
    }

    /// Takes no more of a peer that breaks the rules.
    private func cut() {
        guard context != nil else { return }
        counters.peersCut.add()
        close()
    }

    private func noteStall(_ waiting: Int) {
        let now = NIODeadline.now()
        guard let stall, stall.byteCount == waiting else {
            self.stall = (now, waiting)
            return
        }
        if now - stall.since > TimeAmount(configuration.stallTimeout) { cut() }
    }

    private func bufferedByteCount(_ context: ChannelHandlerContext) -> Int {
        (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    private func write(_ bytes: ByteBuffer) {
        context?.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    // MARK: Repeating

    /// A request is two frames: an empty one and the first sequence number wanted, big-endian. Others are ignored.
    private func request(_ parts: [[UInt8]]) {
        guard parts.count == 2, let number = parts.last, (1...8).contains(number.count) else { return }
        guard replays.count < configuration.replayRequestCountMax else { return cut() }
        let next = number.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        replays.append(Replay(next: next, end: hub.nextSequence))
        replay()
    }

    /// Sends as much as the peer takes now; goes on when it takes more.
    private func replay() {
        guard !isReplaying, let context, !replays.isEmpty else { return }
        isReplaying = true
        while let request = replays.first, context.channel.isWritable {
            if let (sequence, message) = hub.message(from: request.next, before: request.end) {
                context.write(wrapOutboundOut(EventHub.delimiter), promise: nil)
                context.write(wrapOutboundOut(message.frames), promise: nil)
                replays[0].next = sequence + 1
                counters.messagesRepeated.add()
            } else {
                context.write(wrapOutboundOut(EventHub.endOfReplay), promise: nil)
                replays.removeFirst()
            }
        }
        isReplaying = false
        context.flush()
        // The flush may have made room without a sign: the channel was never full.
        if !replays.isEmpty, context.channel.isWritable, self.context != nil { replay() }
    }
}
