internal import Blocks
internal import MemoryTier
internal import NIOCore
internal import RESP
internal import Tiering

/// One client that speaks RESP: reads requests, runs them one at a time and in order, queues the replies.
///
/// While a request waits (for a disk, for space, for durability) nothing further is read, and the next request begins
/// only while the client takes its replies: pipelining cannot grow memory. Confined to its event loop.
final class RedisConnection: ConnectionDriver {
    /// What the connection is doing.
    enum Phase {
        /// Reading or running requests.
        case ready
        /// A request waits for something; its completion goes on.
        case waiting
        /// The last reply is on its way out, or the connection is gone.
        case closed
    }

    let services: NodeServices
    let record: ConnectionRecord
    /// Tells how long the request under way takes.
    var stopwatch: RequestStopwatch
    var session = Session()
    var parser: RequestParser
    var reply = ReplyEncoder()
    var phase = Phase.ready
    /// What became of the payloads of the request under way.
    var fates: [Int: PayloadFate] = [:]
    /// The payload under way.
    var intake: PayloadIntake?
    /// The KV.PUT under way.
    var put: PutJob?
    /// The namespace used last, resolved.
    var lastSpace: KeySpace?
    /// The selected database, resolved, with its number.
    var lastDatabase: (number: Int, space: KeySpace)?
    var transport: (any ConnectionTransport)?
    /// Places that the client writes in place.
    var reservations = HeldReservations()
    var hasUnflushed = false
    /// Arguments before the verb, where another node asks for a client of its own.
    var wrapperCount = 0
    /// What the last KV.MATCH has shown, learnt when its answer is sent or the next request begins.
    var lesson: MatchLesson?
    /// Whose payload is being received, and its bytes.
    var receivingTenant: Tenant?
    var receivingByteCount = 0
    /// The keys of the last KV.MATCH, while routers are told of blocks.
    var chain: EventChain?

    private var input = ByteBuffer()
    private var isDriving = false
    private var isDraining = false
    private var requestCount: UInt64 = 0
    private var receivedByteCount: UInt64 = 0

    /// Reply bytes that are gathered before they are handed to the channel.
    static let gatheredByteCount = 64 << 10
    /// The rest of a reply that goes on when the client takes what was sent.
    private var paused: (() -> Void)?

    init(services: NodeServices, record: ConnectionRecord, recorder: LatencyRecorder) {
        self.services = services
        self.record = record
        stopwatch = RequestStopwatch(recorder: recorder, clock: services.store.clock)
        parser = RequestParser(limits: services.configuration.limits.request)
        if services.authenticator == nil { session.user = .anybody }
        parser.isAuthenticated = session.user != nil
    }

    var store: BlockStore { services.store }
    var limits: ConnectionLimits { services.configuration.limits }
    var counters: NodeCounters { services.counters }
    var owner: LeaseOwner {
        session.peer.map { LeaseOwner(node: $0) } ?? LeaseOwner(connectionID: record.id)
    }
    var arguments: RequestArguments {
        wrapperCount == 0 ? parser.arguments : parser.arguments.skipping(wrapperCount)
    }

    // MARK: The shell's side

    var sink: UnsafeMutableRawBufferPointer {
        guard phase == .ready, parser.payloadRemaining > 0, let intake, input.readableBytes == 0 else {
            return unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0)
        }
        return unsafe intake.remainder
    }

    var wantsInput: Bool {
        phase == .ready && input.readableBytes == 0 && (transport?.isWritable ?? false)
    }

    var progress: ConnectionProgress {
        ConnectionProgress(
            isHandshaking: session.user == nil,
            isReceiving: phase == .ready && parser.isInsideRequest && (transport?.isWritable ?? false),
            isWorking: phase == .waiting,
            payloadByteCount: intake == nil ? 0 : receivingByteCount,
            requestCount: requestCount,
            receivedByteCount: receivedByteCount
        )
    }

    func began(_ transport: any ConnectionTransport) {
        self.transport = transport
    }

    func received(_ buffer: ByteBuffer) {
        guard phase != .closed else { return }
        receivedByteCount &+= UInt64(clamping: buffer.readableBytes)
        if input.readableBytes == 0 {
            input = buffer
        } else {
            input.writeImmutableBuffer(buffer)
        }
        drive()
        if input.readableBytes > limits.inputByteCountMax {
            counters.inputOverflows.add()
            closeNow()
        }
    }

    func receivedInPlace(_ byteCount: Int) {
        guard phase != .closed else { return }
        receivedByteCount &+= UInt64(clamping: byteCount)
        counters.payloadBytesInPlace.add(byteCount)
        intake?.advance(by: byteCount)
        parser.payloadAdvanced(by: byteCount)
    }

    func proceed() {
        if let paused, transport?.isWritable == true {
            self.paused = nil
            paused()
        }
        drive()
    }

    func drain() {
        isDraining = true
        drive()
    }

    func ended() {
        guard transport != nil else { return }
        phase = .closed
        transport = nil
        paused = nil
        intake = nil
        if let space = receivingTenant { services.receiving.end(receivingByteCount, of: space) }
        receivingTenant = nil
        fates = [:]
        put = nil
        input = ByteBuffer()
        services.reservedByteCount.add(-reservations.removeAll())
        store.releaseAll(owner: LeaseOwner(connectionID: record.id))
        services.connections.remove(record.id)
    }

    // MARK: The main path

    /// Works off the input as far as requests, replies and waiting allow.
    private func drive() {
        guard !isDriving, phase != .closed else { return }
        isDriving = true
        repeat {
            stopwatch.timePasses()
            while phase == .ready, mayContinue(), step() {}
            deliver()
        } while phase == .ready && input.readableBytes > 0 && mayContinue()
        isDriving = false
        if input.readableBytes == 0, input.capacity > 0 {
            transport?.recycle(input)
            input = ByteBuffer()
        }
        transport?.resumeReading()
    }

    /// Between requests: whether the next one may begin.
    private func mayContinue() -> Bool {
        if parser.isInsideRequest { return true }
        if isDraining {
            closeAfterReplies()
            return false
        }
        if reply.buffer.readableBytes >= Self.gatheredByteCount { handOver() }
        return transport?.isWritable ?? false
    }

    /// One event of the parser; false when it needs more input.
    private func step() -> Bool {
        if parser.payloadRemaining > 0, input.readableBytes > 0 { takePayloadFromInput() }
        do {
            switch try parser.next(&input) {
            case .needsMore:
                return false
            case .payloadBegins(let index, let byteCount):
                stopwatch.timePasses()
                unwrap()
                beginPayload(index - wrapperCount, byteCount)
            case .payloadEnds(let index):
                stopwatch.timePasses()
                endPayload(index - wrapperCount)
            case .request:
                unwrap()
                beginRequest()
            }
        } catch {
            counters.protocolErrors.add()
            fail(error.message)
            closeAfterReplies()
        }
        return phase == .ready
    }

    /// The part of a payload that came in the same buffer as its header: the only bytes that are copied on their way in.
    private func takePayloadFromInput() {
        let byteCount = min(parser.payloadRemaining, input.readableBytes)
        if let intake {
            // SAFETY: the remainder of the reservation has at least `payloadRemaining` bytes.
            unsafe input.withUnsafeReadableBytes { bytes in
                unsafe intake.remainder.copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: bytes[..<byteCount])
                )
            }
            counters.payloadBytesCopied.add(byteCount)
        } else {
            counters.payloadBytesDiscarded.add(byteCount)
        }
        intake?.advance(by: byteCount)
        input.moveReaderIndex(forwardBy: byteCount)
        parser.payloadAdvanced(by: byteCount)
    }

    private func beginRequest() {
        requestCount &+= 1
        counters.commands.add()
        learn()
        if isMuted { handOver() }
        run()
        if phase != .waiting { finishRequest() }
    }

    /// Goes on with the request in another turn of the loop, when the client takes what was sent.
    func pause(_ body: @escaping (RedisConnection) -> Void) {
        counters.turnsEnded.add()
        let resume = later { (connection: RedisConnection, _: Void) in body(connection) }
        if transport?.isWritable == true { resume(()) } else { paused = { resume(()) } }
    }

    /// Ends the request under way: its reply is complete.
    private func finishRequest() {
        stopwatch.end()
        parser.releaseArguments()
        fates.removeAll(keepingCapacity: true)
        put = nil
        wrapperCount = 0
        switch session.replies {
        case .on: break
        case .off: reply.buffer.clear()
        case .skipNext: session.replies = .skip
        case .skip:
            reply.buffer.clear()
            session.replies = .on
        }
    }

    // MARK: Waiting

    /// A completion for work of the request under way, to be called from any thread: back on the loop, `body` continues
    /// the request, which ends there unless `body` waits again.
    func later<Value: Sendable>(
        _ body: @escaping (RedisConnection, Value) -> Void
    ) -> @Sendable (Value) -> Void {
        hop { connection, value in
            body(connection, value)
            if connection.phase != .waiting { connection.finishRequest() }
        }
    }

    /// A completion for work that stands in the middle of a request still being received.
    func laterInside<Value: Sendable>(
        _ body: @escaping (RedisConnection, Value) -> Void
    ) -> @Sendable (Value) -> Void {
        let began = store.clock.monotonicNanoseconds()
        return hop { connection, value in
            connection.stopwatch.waited(since: began)
            body(connection, value)
        }
    }

    private func hop<Value: Sendable>(
        _ body: @escaping (RedisConnection, Value) -> Void
    ) -> @Sendable (Value) -> Void {
        guard let eventLoop = transport?.eventLoop else { return { _ in } }
        phase = .waiting
        let bound = NIOLoopBound((connection: self, body: body), eventLoop: eventLoop)
        return { value in
            eventLoop.execute {
                let (connection, body) = bound.value
                guard connection.phase == .waiting else { return }
                connection.phase = .ready
                // What is sent meanwhile may call back that the channel is writable: nothing new begins before the end.
                connection.isDriving = true
                body(connection, value)
                connection.isDriving = false
                connection.drive()
            }
        }
    }

    // MARK: Replies

    /// An error reply, counted.
    func fail(_ text: String) {
        counters.errorReplies.add()
        reply.error(text)
    }

    /// An error of the store's as a reply.
    func fail(_ error: CacheError) {
        fail(error.replyText)
    }

    /// Closes once the replies so far are sent.
    func closeAfterReplies() {
        guard phase != .closed else { return }
        deliver()
        phase = .closed
        transport?.close()
    }

    func closeNow() {
        phase = .closed
        input = ByteBuffer()
        transport?.close()
    }

    var isMuted: Bool {
        session.replies == .off || session.replies == .skip
    }

    /// Gives the replies so far to the channel.
    func handOver() {
        guard reply.buffer.readableBytes > 0 else { return }
        transport?.send(reply.buffer)
        reply.buffer = ByteBuffer()
        hasUnflushed = true
    }

    /// Sends the part of a reply that is there, while the request waits for the rest.
    func deliverMeanwhile() {
        guard !isMuted else { return }
        handOver()
        guard hasUnflushed else { return }
        hasUnflushed = false
        transport?.flush()
    }

    func deliver() {
        handOver()
        if hasUnflushed {
            hasUnflushed = false
            transport?.flush()
        }
        learn()
    }

    private func learn() {
        guard let lesson else { return }
        self.lesson = nil
        store.learn(lesson)
    }
}
