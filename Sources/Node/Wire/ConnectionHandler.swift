internal import CPosix
internal import Glibc
internal import MemoryTier
internal import NIOCore

/// The thin shell around a driver: moves bytes between NIO and the driver, and cuts what the watch condemns.
final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let driver: any ConnectionDriver
    private let keeper: LoopKeeper
    private let allocator: ArenaReceiveAllocator
    private let counters: NodeCounters
    private let replies: BufferBudget
    private let waitingReplies = WaitingReplies()
    private var isRetryScheduled = false
    private var context: ChannelHandlerContext?
    private var watch: ConnectionWatch
    private var isReadPending = false
    private var isClosing = false
    private var queuedByteCount: UInt64 = 0

    init(
        driver: any ConnectionDriver,
        keeper: LoopKeeper,
        allocator: ArenaReceiveAllocator,
        limits: ConnectionLimits,
        counters: NodeCounters,
        replies: BufferBudget
    ) {
        self.replies = replies
        self.driver = driver
        self.keeper = keeper
        self.allocator = allocator
        self.counters = counters
        watch = ConnectionWatch(limits: limits)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { begin() }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin()
        context.fireChannelActive()
    }

    private func begin() {
        keeper.add(self)
        driver.began(self)
        resumeReading()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        counters.receivedBytes.add(buffer.readableBytes)
        if allocator.isInPlace(buffer) {
            driver.receivedInPlace(buffer.readableBytes)
        } else {
            driver.received(buffer)
        }
        unsafe allocator.sink = driver.sink
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReadPending = false
        driver.proceed()
        resumeReading()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            driver.proceed()
            resumeReading()
        }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end()
        self.context = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func end() {
        keeper.remove(self)
        // SAFETY: an empty buffer; from here on nothing is read into the arena.
        unsafe allocator.sink = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        driver.ended()
    }

    /// Looks at the connection's deadlines; called by the loop's keeper.
    func look(after elapsed: Duration) {
        guard let context, context.channel.isActive else { return }
        let waiting = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        let verdict = watch.look(
            after: elapsed,
            driver.progress,
            sentByteCount: queuedByteCount - min(queuedByteCount, UInt64(clamping: waiting)),
            waitingByteCount: waiting
        )
        guard let verdict else { return }
        counters.cut(verdict)
        context.close(promise: nil)
    }

    /// Closes at once.
    func cut() {
        context?.close(promise: nil)
    }

    /// Begins no further command and closes once the one under way is answered.
    func drain() {
        driver.drain()
    }
}

/// Bytes of one connection's copied replies that wait to be sent. Confined to its event loop.
private final class WaitingReplies {
    var byteCount = 0
}

extension ConnectionHandler: ConnectionTransport {
    var eventLoop: any EventLoop { keeper.eventLoop }

    /// Also false while all connections together have as many copied replies waiting as they may and some of them are this
    /// one's: who has none waiting may always send a piece, so that nobody waits for those who do not read.
    var isWritable: Bool {
        guard let context, context.channel.isWritable else { return false }
        guard waitingReplies.byteCount > 0, !replies.hasRoom else { return true }
        proceedLater(context)
        return false
    }

    /// Nobody says when others have sent theirs: it is looked for again.
    private func proceedLater(_ context: ChannelHandlerContext) {
        guard !isRetryScheduled else { return }
        isRetryScheduled = true
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.budgetPause) { [self] in
            isRetryScheduled = false
            guard self.context != nil else { return }
            driver.proceed()
            resumeReading()
        }
    }

    /// Time between two looks at a budget that others have used up.
    private static let budgetPause: TimeAmount = .milliseconds(5)
    /// Buffers below this are not counted: what is small is gone before it matters.
    private static let countedByteCountMin = 4 << 10

    func send(_ bytes: ByteBuffer) {
        guard let context, bytes.readableBytes > 0 else { return }
        let byteCount = bytes.readableBytes
        counted(byteCount)
        guard byteCount >= Self.countedByteCountMin else {
            return context.write(wrapOutboundOut(bytes), promise: nil)
        }
        replies.add(byteCount)
        waitingReplies.byteCount += byteCount
        let sent = context.eventLoop.makePromise(of: Void.self)
        sent.futureResult.assumeIsolated().whenComplete { [replies, waitingReplies] _ in
            replies.remove(byteCount)
            waitingReplies.byteCount -= byteCount
        }
        context.write(wrapOutboundOut(bytes), promise: sent)
    }

    func send(_ lease: BlockLease, _ range: Range<Int>) {
        guard let context, let bytes = ByteBuffer(viewing: lease, range) else { return }
        counted(range.count)
        let sent = context.eventLoop.makePromise(of: Void.self)
        // The lease ends when the kernel has all bytes, or never will have them.
        sent.futureResult.whenComplete { _ in withExtendedLifetime(lease) {} }
        context.write(wrapOutboundOut(bytes), promise: sent)
    }

    var isUnixSocket: Bool {
        if case .unixDomainSocket = context?.channel.localAddress { true } else { false }
    }

    func send(_ bytes: ByteBuffer, passing descriptor: CInt, _ completion: @escaping (Bool) -> Void) {
        guard let context else { return completion(false) }
        counted(bytes.readableBytes)
        // Told when everything queued before has been sent.
        let sent = context.eventLoop.makePromise(of: Void.self)
        sent.futureResult.assumeIsolated().whenComplete { [self] _ in
            pass(descriptor, with: bytes, triesLeft: Self.passTryCountMax, completion)
        }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: sent)
    }

    /// Milliseconds for which a full socket is tried again.
    private static let passTryCountMax = 2_000

    /// NIO sends no descriptors: this goes past it, while nothing else is queued.
    private func pass(
        _ descriptor: CInt,
        with bytes: ByteBuffer,
        triesLeft: Int,
        _ completion: @escaping (Bool) -> Void
    ) {
        guard let context, context.channel.isActive else { return completion(false) }
        let transfer = try? context.pipeline.syncOperations.withUnsafeTransportIfAvailable {
            (socket: NIOBSDSocket.Handle) in
            unsafe bytes.withUnsafeReadableBytes { bytes in
                // SAFETY: the call reads the bytes while they are lent.
                let count = unsafe larder_send_descriptor(socket, descriptor, bytes.baseAddress, bytes.count)
                return (
                    isSent: count == bytes.count, isFull: count < 0 && (errno == EAGAIN || errno == ENOBUFS)
                )
            }
        }
        guard let transfer, transfer.isFull, triesLeft > 0 else {
            return completion(transfer?.isSent ?? false)
        }
        context.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(1)) { [self] in
            pass(descriptor, with: bytes, triesLeft: triesLeft - 1, completion)
        }
    }

    func flush() {
        context?.flush()
    }

    func resumeReading() {
        guard let context, !isReadPending, !isClosing, driver.wantsInput else { return }
        isReadPending = true
        // SAFETY: the driver keeps the memory until it says otherwise here or in `end`.
        unsafe allocator.sink = driver.sink
        context.read()
    }

    func close() {
        guard let context, !isClosing else { return }
        isClosing = true
        // Everything queued before the empty write has been sent when its promise is told.
        let sent = context.eventLoop.makePromise(of: Void.self)
        let channel = context.channel
        sent.futureResult.whenComplete { _ in channel.close(promise: nil) }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: sent)
    }

    func recycle(_ buffer: ByteBuffer) {
        keeper.pool.giveBack(buffer)
    }

    private func counted(_ byteCount: Int) {
        queuedByteCount &+= UInt64(clamping: byteCount)
        counters.sentBytes.add(byteCount)
    }
}
