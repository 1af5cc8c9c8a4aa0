internal import RESP

#if canImport(Glibc)
    internal import Glibc
#endif

/// The receiving side of one connection: a small buffer for framing and small replies, and the parser.
///
/// Payloads pass by the buffer, straight from the socket to where their receiver wants them.
@safe final class ReplyStream {
    private var parser = ReplyParser()
    private let buffer: UnsafeMutableRawBufferPointer
    private var consumed = 0
    private var filled = 0

    /// Whether a descriptor may come with the next bytes: receiving them in any other way would lose it.
    var awaitsDescriptor = false
    private var passed: Int32?

    /// Whole replies so far.
    private(set) var replyCount = 0

    /// Longer than the longest line and the longest bulk error, so that a step always fits.
    private static let bufferByteCount = 64 << 10
    /// How much to read where a payload's header is expected, so that little of the payload comes with it.
    private static let headerByteCount = 256
    /// How much to read behind a payload: its line end and the next header.
    private static let tailByteCount = 64

    init() {
        unsafe buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferByteCount, alignment: 64)
        unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit {
        unsafe buffer.deallocate()
        if let passed { close(passed) }
    }

    /// Hands on the descriptor that came last; the caller closes it.
    func takeDescriptor() -> Int32? {
        defer { passed = nil }
        return passed
    }

    /// Receives what the socket has, once.
    ///
    /// `receiver` is the head's; call ``step(_:)`` until it returns `nil` first.
    func receive(_ socket: StreamSocket, for receiver: (any ReplyReceiver)?) -> StreamSocket.Transfer {
        makeRoom()
        if awaitsDescriptor {
            let room = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            let transfer = unsafe socket.receive(room, passing: &passed)
            if case .bytes(let count) = transfer { filled += count }
            return transfer
        }
        let rest = parser.bulkRemainingByteCount
        if filled == 0, rest > 0, let receiver, unsafe !receiver.directDestination.isEmpty {
            return receiveDirectly(socket, receiver, rest)
        }
        let isHeader = rest == 0 && receiver?.expectsPayloads == true
        let end = min(Self.bufferByteCount, filled + (isHeader ? Self.headerByteCount : Self.bufferByteCount))
        let transfer = unsafe socket.receive(UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<end]))
        if case .bytes(let count) = transfer { filled += count }
        return transfer
    }

    /// Gives `receiver` the next event of what was received: whether its reply is whole with it; `nil` when more must
    /// be received first.
    func step(_ receiver: (any ReplyReceiver)?) throws(ReplyProtocolError) -> Bool? {
        // SAFETY: the buffer lives as long as self, and its first `filled` bytes are received.
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: buffer[..<filled]).bytes
        guard let event = try parser.next(bytes, consumed: &consumed) else { return nil }
        guard let receiver else { throw ReplyProtocolError("a reply came that nobody asked for") }
        try receiver.take(event, of: bytes)
        guard parser.isBetweenReplies else { return false }
        replyCount += 1
        return true
    }

    private func receiveDirectly(
        _ socket: StreamSocket,
        _ receiver: any ReplyReceiver,
        _ rest: Int
    ) -> StreamSocket.Transfer {
        let destination = unsafe receiver.directDestination
        let payload = unsafe UnsafeMutableRawBufferPointer(
            rebasing: destination[..<min(rest, destination.count)]
        )
        let isWhole = payload.count == rest
        let tail = unsafe UnsafeMutableRawBufferPointer(
            rebasing: buffer[..<(isWhole ? Self.tailByteCount : 0)]
        )
        let transfer = unsafe socket.receive(payload, tail)
        if case .bytes(let count) = transfer {
            let direct = min(count, payload.count)
            parser.receivedBulkBytes(direct)
            receiver.receivedDirectly(direct)
            filled = count - direct
        }
        return transfer
    }

    /// Moves what the parser left to the front.
    private func makeRoom() {
        guard consumed > 0 else { return }
        // SAFETY: both ranges lie within the buffer; memmove allows overlap.
        unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<(filled - consumed)])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[consumed..<filled]))
        filled -= consumed
        consumed = 0
    }
}
