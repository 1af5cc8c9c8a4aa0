internal import LarderClient
internal import RESP

/// One connection of the load generator: plain sockets, no copies of payloads, the same for every server.
@safe final class BenchConnection {
    private let socket: StreamSocket
    private let payloads: BenchPayloads
    private let verifies: Bool
    private var parser: BenchReplyParser
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 64)
    private var consumed = 0
    private var filled = 0
    private var places = unsafe [UnsafeMutableRawBufferPointer]()

    /// How long a server may be silent before the run is given up.
    static let silenceSeconds = 30
    /// Replies with at least this many payload bytes are received past the buffer.
    private static let directByteCount = 32 << 10

    /// One operation under way.
    private struct Pending {
        let request: BenchRequest
        let startedAt: UInt64
        var check: BenchReplyCheck
        var endedAt: UInt64 = 0
    }

    /// A ring: operation number n is at n % depth, and its payloads arrive at that place.
    private var ring: [Pending?]
    private var startedCount = 0
    private var answeredCount = 0
    private var finishedCount = 0

    /// Connects; `batch` payloads may arrive in each of `depth` operations.
    init(
        _ target: BenchTarget,
        credentials: LarderClientConfiguration.Credentials?,
        payloads: BenchPayloads,
        depth: Int,
        batch: Int,
        verifies: Bool
    ) throws(CommandFailure) {
        socket = try Self.connect(target.endpoint)
        parser = BenchReplyParser(target.dialect)
        self.payloads = payloads
        self.verifies = verifies
        ring = Array(repeating: nil, count: depth)
        unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0)
        for _ in 0..<depth {
            unsafe places.append(BenchMemory.allocate(byteCount: payloads.byteCount * batch))
        }
        if let credentials { try authenticate(credentials) }
    }

    deinit {
        unsafe buffer.deallocate()
        unsafe places.forEach { unsafe $0.deallocate() }
    }

    /// Operations under way.
    var pendingCount: Int { startedCount - finishedCount }

    /// Sends an operation, at most `depth` at a time; replies are read while the socket takes no more.
    func start(_ request: BenchRequest) throws(CommandFailure) {
        let check = BenchReplyCheck(request, payloadByteCount: payloads.byteCount)
        ring[startedCount % ring.count] = Pending(request: request, startedAt: BenchClock.now(), check: check)
        startedCount += 1
        var progress = BenchMessage.Progress()
        while progress.byteCount < request.message.byteCount {
            var transfer = StreamSocket.Transfer.wouldBlock
            unsafe request.message.sendNext(&progress, countMax: 64) { pieces in
                transfer = unsafe socket.send(pieces)
                guard case .bytes(let count) = transfer else { return 0 }
                return count
            }
            switch transfer {
            case .bytes: continue
            case .wouldBlock: try waitToSend()
            case .closed, .failed: throw Self.lost()
            }
        }
    }

    /// What became of one operation.
    struct Outcome {
        let request: BenchRequest
        let faults: BenchReplyCheck.Faults
        /// When its first byte was sent and its last received, monotonic nanoseconds.
        let startedAt: UInt64
        let endedAt: UInt64
    }

    /// Reads until the oldest operation is complete.
    func finishOldest() throws(CommandFailure) -> Outcome {
        while answeredCount == finishedCount { try read() }
        let place = finishedCount % ring.count
        guard let done = ring[place] else { throw CommandFailure(.software, "nothing is under way") }
        ring[place] = nil
        finishedCount += 1
        return Outcome(
            request: done.request,
            faults: done.check.faults,
            startedAt: done.startedAt,
            endedAt: done.endedAt
        )
    }

    /// Sends one operation and waits for it.
    func run(_ request: BenchRequest) throws(CommandFailure) -> BenchReplyCheck.Faults {
        try start(request)
        return try finishOldest().faults
    }

    // MARK: Transfers

    /// A server that waits for its replies to be taken must not wait for us, who want to send.
    private func waitToSend() throws(CommandFailure) {
        guard socket.wait(isWriting: true, milliseconds: Int32(Self.silenceSeconds) * 1_000) else {
            throw Self.silent()
        }
        guard socket.wait(isWriting: false, milliseconds: 0) else { return }
        try read()
    }

    /// Reads once, past the buffer where a large payload is in progress.
    private func read() throws(CommandFailure) {
        makeRoom()
        let rest = parser.bulkRemainingByteCount
        if filled == 0, rest > 0, let memory = unsafe restOfPayload(rest) {
            try take(unsafe socket.receiveWaiting(memory, isWhole: true)) { count in
                parser.receivedBulkBytes(count)
            }
        } else {
            let isHeader = payloads.byteCount >= Self.directByteCount && rest == 0
            let free = unsafe UnsafeMutableRawBufferPointer(
                rebasing: buffer[filled...].prefix(isHeader ? 256 : .max)
            )
            try take(unsafe socket.receiveWaiting(free, isWhole: false)) { count in filled += count }
        }
        try parse()
    }

    private func take(_ transfer: StreamSocket.Transfer, _ received: (Int) -> Void) throws(CommandFailure) {
        switch transfer {
        case .bytes(let count): received(count)
        case .wouldBlock: throw Self.silent()
        case .closed, .failed: throw Self.lost()
        }
    }

    private func parse() throws(CommandFailure) {
        // SAFETY: the buffer lives as long as self, and its first `filled` bytes are received.
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: buffer[..<filled]).bytes
        do throws(ReplyProtocolError) {
            while let event = try parser.next(bytes, consumed: &consumed) {
                guard answeredCount < startedCount else {
                    throw ReplyProtocolError("a reply came that nobody asked for")
                }
                take(event, of: bytes)
            }
        } catch {
            throw CommandFailure(.software, "the server does not talk the protocol: \(error.message)")
        }
    }

    private func take(_ event: ReplyEvent, of bytes: RawSpan) {
        let place = answeredCount % ring.count
        guard var current = ring[place] else { return }
        if case .bulkPiece(let range) = event, let memory = unsafe restOfPayload(range.count, isCounted: true)
        {
            // SAFETY: both are as long as the piece and apart.
            unsafe bytes.extracting(range).withUnsafeBytes { unsafe memory.copyMemory(from: $0) }
        }
        if verifies, event == .bulkEnds, let index = current.check.openPayload,
            unsafe !payloads.matches(
                current.request.keys.lowerBound + index,
                UnsafeRawBufferPointer(payloadMemory(place, index))
            )
        {
            current.check.foundWrongBytes()
        }
        current.check.take(event, isReplyWhole: parser.isBetweenReplies)
        if current.check.isComplete {
            current.endedAt = BenchClock.now()
            answeredCount += 1
        }
        ring[place] = current
    }

    /// Where the next `count` bytes of the payload in progress go: those still to come, or, when the parser has
    /// counted them out, those just read.
    private func restOfPayload(_ count: Int, isCounted: Bool = false) -> UnsafeMutableRawBufferPointer? {
        let place = answeredCount % ring.count
        guard let index = ring[place]?.check.openPayload else { return nil }
        let memory = unsafe payloadMemory(place, index)
        let end = memory.count - (isCounted ? parser.bulkRemainingByteCount : 0)
        guard count <= end else { return nil }
        return unsafe UnsafeMutableRawBufferPointer(rebasing: memory[(end - count)..<end])
    }

    private func payloadMemory(_ place: Int, _ index: Int) -> UnsafeMutableRawBufferPointer {
        let start = index * payloads.byteCount
        return unsafe UnsafeMutableRawBufferPointer(
            rebasing: places[place][start..<(start + payloads.byteCount)]
        )
    }

    private func makeRoom() {
        guard consumed > 0 else { return }
        // SAFETY: both ranges lie within the buffer; memmove allows overlap.
        unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<(filled - consumed)])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[consumed..<filled]))
        filled -= consumed
        consumed = 0
    }

    // MARK: Connecting

    private static func connect(_ endpoint: LarderEndpoint) throws(CommandFailure) -> StreamSocket {
        let addresses =
            switch endpoint {
            case .unix(let path): SocketAddress(unixPath: path).map { [$0] } ?? []
            case .tcp(let host, let port): SocketAddress.resolve(host: host, port: port, isNumericOnly: false)
            }
        for address in addresses {
            guard let socket = StreamSocket(connectingTo: address),
                socket.wait(isWriting: true, milliseconds: 5_000),
                socket.connectError() == 0
            else { continue }
            socket.makeBlocking(seconds: silenceSeconds)
            return socket
        }
        throw CommandFailure(.unavailable, "no server at \(endpoint)")
    }

    private func authenticate(_ credentials: LarderClientConfiguration.Credentials) throws(CommandFailure) {
        var encoder = RequestEncoder()
        encoder.begin(argumentCount: 3)
        for word in ["AUTH", credentials.user, credentials.password] { encoder.append(word) }
        let faults = try run(
            BenchRequest(.resp(encoder.finish()), .anything, keys: 0..<0, replyCount: 1)
        )
        if let error = faults.firstError {
            throw CommandFailure(.noPermission, "the server refused: \(error)")
        }
    }

    private static func lost() -> CommandFailure {
        CommandFailure(.unavailable, "the server closed the connection")
    }

    private static func silent() -> CommandFailure {
        CommandFailure(.unavailable, "the server was silent for \(silenceSeconds) s")
    }
}
