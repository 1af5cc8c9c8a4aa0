internal import Blocks
internal import MemoryTier
internal import NIOCore
internal import RESP
internal import Tiering

/// One client of LMCache's lm:// protocol, in the default tenant's space of its own. Confined to its event loop.
///
/// A put has no reply: one that the store refuses is read, dropped and counted.
final class LMConnection: ConnectionDriver {
    private enum Phase {
        case header
        /// `isKept` is false for a payload that is dropped.
        case payload(LMRequest, remaining: Int)
        case waiting
        case closed
    }

    private let services: NodeServices
    private let id: UInt64
    private let space: KeySpace
    private var stopwatch: RequestStopwatch
    private var phase = Phase.header
    private var header = ByteBuffer()
    private var input = ByteBuffer()
    private var intake: PayloadIntake?
    private var transport: (any ConnectionTransport)?
    private var isDriving = false
    private var isDraining = false
    private var requestCount: UInt64 = 0
    private var receivedByteCount: UInt64 = 0

    init(services: NodeServices, id: UInt64, recorder: LatencyRecorder) {
        stopwatch = RequestStopwatch(recorder: recorder, clock: services.store.clock)
        self.services = services
        self.id = id
        space = services.store.space(tenant: .default, service: "lm")
    }

    private var store: BlockStore { services.store }
    private var counters: NodeCounters { services.counters }
    private var limits: ConnectionLimits { services.configuration.limits }

    var sink: UnsafeMutableRawBufferPointer {
        guard case .payload(_, let remaining) = phase, let intake, input.readableBytes == 0 else {
            return unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0)
        }
        // The trailer behind the payload is ours.
        return unsafe UnsafeMutableRawBufferPointer(rebasing: intake.remainder[..<remaining])
    }

    var wantsInput: Bool {
        switch phase {
        case .header, .payload: input.readableBytes == 0 && (transport?.isWritable ?? false)
        case .waiting, .closed: false
        }
    }

    var progress: ConnectionProgress {
        var progress = ConnectionProgress(requestCount: requestCount, receivedByteCount: receivedByteCount)
        switch phase {
        case .header: progress.isReceiving = header.readableBytes > 0
        case .payload: progress.isReceiving = true
        case .waiting: progress.isWorking = true
        case .closed: break
        }
        return progress
    }

    func began(_ transport: any ConnectionTransport) {
        self.transport = transport
    }

    func received(_ buffer: ByteBuffer) {
        if case .closed = phase { return }
        receivedByteCount &+= UInt64(clamping: buffer.readableBytes)
        if input.readableBytes == 0 {
            input = buffer
        } else {
            input.writeImmutableBuffer(buffer)
        }
        drive()
        if input.readableBytes > limits.inputByteCountMax {
            counters.inputOverflows.add()
            close()
        }
    }

    func receivedInPlace(_ byteCount: Int) {
        guard case .payload(let request, let remaining) = phase else { return }
        receivedByteCount &+= UInt64(clamping: byteCount)
        counters.payloadBytesInPlace.add(byteCount)
        advance(request, remaining, by: byteCount)
    }

    func proceed() {
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
        intake = nil
        input = ByteBuffer()
        store.releaseAll(owner: LeaseOwner(connectionID: id))
        services.connections.remove(id)
    }

    // MARK: The main path

    private func drive() {
        guard !isDriving else { return }
        isDriving = true
        while step() {}
        isDriving = false
        if input.readableBytes == 0, input.capacity > 0 {
            transport?.recycle(input)
            input = ByteBuffer()
        }
        transport?.resumeReading()
    }

    /// One step of the work; false when it needs more input, or waits.
    private func step() -> Bool {
        switch phase {
        case .header:
            if header.readableBytes == 0, isDraining {
                close()
                return false
            }
            guard transport?.isWritable ?? false, takeHeader() else { return false }
            guard let request = LMRequest(decoding: &header) else {
                counters.protocolErrors.add()
                close()
                return false
            }
            header = ByteBuffer()
            begin(request)
            return true
        case .payload(let request, let remaining):
            guard remaining == 0 || input.readableBytes > 0 else { return false }
            takePayload(request, remaining)
            return true
        case .waiting, .closed:
            return false
        }
    }

    /// Gathers the 186 bytes of a request; false when the input ends before.
    private func takeHeader() -> Bool {
        let byteCount = min(LMRequest.byteCount - header.readableBytes, input.readableBytes)
        if var part = input.readSlice(length: byteCount) { header.writeBuffer(&part) }
        return header.readableBytes == LMRequest.byteCount
    }

    private func begin(_ request: LMRequest) {
        counters.commands.add()
        requestCount &+= 1
        let isKey = (1...Limits.keyByteCountMax).contains(request.key.count)
        stopwatch.begin(RequestKind(request.verb))
        switch request.verb {
        case .put:
            beginPut(request, isKey: isKey, until: nil)
        case .get:
            if isKey { get(request) } else { answer(LMReply(isFound: false)) }
        case .exist:
            let isFound = isKey && store.exists(space, key: unsafe request.key.span.bytes, takesLease: true)
            answer(LMReply(isFound: isFound))
        case .health:
            answer(LMReply(isFound: true))
        case .list:
            answer(LMReply(isFound: false))
        }
    }

    // MARK: Putting

    private func beginPut(_ request: LMRequest, isKey: Bool, until deadline: UInt64?) {
        phase = .payload(request, remaining: request.payloadByteCount)
        intake = nil
        let byteCount = request.payloadByteCount + LMShape.trailerByteCount
        guard isKey, byteCount <= limits.request.bulkByteCountMax else { return counters.lmPutsRefused.add() }
        do {
            intake = PayloadIntake(
                try store.reserve(space, key: unsafe request.key.span.bytes, payloadByteCount: byteCount)
            )
        } catch {
            let now = store.clock.monotonicNanoseconds()
            let end = deadline ?? now &+ UInt64(clamping: Int64(limits.spaceTimeout.inSeconds * 1e9))
            guard error.isWorthWaiting, end > now else {
                store.countRefusal(error)
                return counters.lmPutsRefused.add()
            }
            let resume = later { (connection: LMConnection, _: Void) in
                connection.beginPut(request, isKey: isKey, until: end)
            }
            store.whenSpaceFrees { resume(()) }
        }
    }

    private func takePayload(_ request: LMRequest, _ remaining: Int) {
        let byteCount = min(remaining, input.readableBytes)
        if let intake {
            // SAFETY: the place has `remaining` bytes before its trailer.
            unsafe input.withUnsafeReadableBytes { bytes in
                unsafe intake.remainder.copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: bytes[..<byteCount])
                )
            }
            counters.payloadBytesCopied.add(byteCount)
        } else {
            counters.payloadBytesDiscarded.add(byteCount)
        }
        input.moveReaderIndex(forwardBy: byteCount)
        advance(request, remaining, by: byteCount)
    }

    private func advance(_ request: LMRequest, _ remaining: Int, by byteCount: Int) {
        intake?.advance(by: byteCount)
        guard byteCount == remaining else {
            phase = .payload(request, remaining: remaining - byteCount)
            return
        }
        phase = .header
        guard let intake else { return }
        self.intake = nil
        unsafe request.shape.writeTrailer(to: intake.reservation.payload)
        intake.advance(by: LMShape.trailerByteCount)
        let payload = intake.received
        let result = store.commit(
            payload.reservation,
            in: space,
            .redis(),
            payloadChecksum: payload.checksum
        )
        if case .refused = result.outcome {
            counters.lmPutsRefused.add()
        }
    }

    // MARK: Getting

    private func get(_ request: LMRequest) {
        switch store.lookup(space, key: unsafe request.key.span.bytes) {
        case .memory(let lease):
            answer(lease)
        case .absent:
            answer(nil)
        case .stored:
            var keys = KeyBatch()
            keys.append(unsafe request.key.span.bytes)
            let completion = later { (connection: LMConnection, leases: [BlockLease?]) in
                connection.answer(leases.first ?? nil)
            }
            store.load(space, keys: keys, completion)
        }
    }

    private func answer(_ lease: BlockLease?) {
        guard let lease, let shape = unsafe LMShape(trailing: lease.payload) else {
            return answer(LMReply(isFound: false))
        }
        let byteCount = lease.payloadByteCount - LMShape.trailerByteCount
        // One write: the client reads the 36 bytes with a single recv.
        transport?.send(LMReply(isFound: true, payloadByteCount: byteCount, shape: shape).bytes)
        transport?.send(lease, 0..<byteCount)
        stopwatch.end()
        transport?.flush()
        stopwatch.timePasses()
    }

    private func answer(_ reply: LMReply) {
        transport?.send(reply.bytes)
        stopwatch.end()
        transport?.flush()
        stopwatch.timePasses()
    }

    private func close() {
        phase = .closed
        transport?.close()
    }

    /// Waits: a completion to be called from any thread; back on the loop, `body` goes on.
    private func later<Value: Sendable>(
        _ body: @escaping (LMConnection, Value) -> Void
    ) -> @Sendable (Value) -> Void {
        guard let eventLoop = transport?.eventLoop else { return { _ in } }
        phase = .waiting
        let bound = NIOLoopBound((connection: self, body: body), eventLoop: eventLoop)
        return { value in
            eventLoop.execute {
                let (connection, body) = bound.value
                guard case .waiting = connection.phase else { return }
                connection.phase = .header
                body(connection, value)
                connection.drive()
            }
        }
    }
}
