package import NIOCore

/// Reads requests as they arrive, in pieces of any size, and never asks for memory a client has only announced.
///
/// Multibulk requests (`*2\r\n$3\r\nGET\r\n...`) and inline ones (`PING\r\n`) both end in `.request`. Small bulk
/// strings are collected. For a larger one the parser stops at `.payloadBegins`: the caller decides where the bytes
/// go, moves them there itself (in any pieces, from the input or straight from the socket), reports each piece by
/// `payloadAdvanced(by:)`, and goes on with `next`, which ends the payload after its CRLF by `.payloadEnds`.
///
/// Which events come, and in which order, does not depend on how the input was cut.
package struct RequestParser: Sendable {
    /// What the input so far leads to.
    package enum Event: Sendable, Hashable {
        /// All input is consumed; more is needed.
        case needsMore
        /// `arguments` holds a whole request.
        case request
        /// Argument `index` has `byteCount` bytes that the caller takes care of; `arguments` holds those before it.
        case payloadBegins(index: Int, byteCount: Int)
        /// All bytes of the payload at `index` have come, and its line end.
        case payloadEnds(index: Int)
    }

    private enum State {
        case start
        case inline
        case count(LengthLine)
        case bulkMark
        case bulkLength(LengthLine)
        case collecting(Int)
        case payload(remaining: Int)
        case bulkEnd(BulkKind, isCut: Bool)
        case finished
        case failed(RequestError)
    }

    private enum BulkKind { case collected, payload }

    /// Most arguments of a request before the client has authenticated, as in Redis.
    package static let unauthenticatedArgumentCountMax = 10
    /// Longest bulk string before the client has authenticated, bytes, as in Redis.
    package static let unauthenticatedBulkByteCountMax = 16 << 10

    /// The arguments of the request under way, or of the last one until the next begins.
    package private(set) var arguments = RequestArguments()
    /// The bounds, before and after authentication.
    package let limits: RequestLimits
    /// Until the client has authenticated, only what Redis allows: 10 arguments of 16 KiB.
    package var isAuthenticated = true

    private var state = State.start
    private var expectedCount = 0
    private var inlineBytes: [UInt8] = []

    /// Creates a parser at the start of a request.
    package init(limits: RequestLimits = RequestLimits()) {
        self.limits = limits
    }

    /// Whether a request has begun and not ended.
    package var isInsideRequest: Bool {
        if case .start = state { return false }
        return true
    }

    /// Bytes of the payload under way that have not been reported yet; 0 outside a payload.
    package var payloadRemaining: Int {
        if case .payload(let remaining) = state { return remaining }
        return 0
    }

    /// Reports that the caller has taken the next `byteCount` bytes of the payload.
    ///
    /// Traps when that is more than `payloadRemaining`: a mistake of ours.
    package mutating func payloadAdvanced(by byteCount: Int) {
        guard case .payload(let remaining) = state, byteCount >= 0, byteCount <= remaining else {
            preconditionFailure("\(byteCount) bytes reported, \(payloadRemaining) are missing")
        }
        state =
            byteCount == remaining
            ? .bulkEnd(.payload, isCut: false) : .payload(remaining: remaining - byteCount)
    }

    /// Consumes input up to the next event. Inside a payload it consumes nothing and answers `.needsMore`.
    package mutating func next(_ input: inout ByteBuffer) throws(RequestError) -> Event {
        var consumed = 0
        defer { input.moveReaderIndex(forwardBy: consumed) }
        let bytes = input.readableBytesUInt8Span
        do throws(RequestError) {
            while true {
                if let event = try step(bytes, &consumed) { return event }
            }
        } catch {
            state = .failed(error)
            throw error
        }
    }

    /// One state's work; `nil` goes on with the next state.
    private mutating func step(_ bytes: Span<UInt8>, _ consumed: inout Int) throws(RequestError) -> Event? {
        switch state {
        case .finished:
            state = .start
            return .request
        case .payload:
            return .needsMore
        case .failed(let error):
            throw error
        default:
            guard consumed < bytes.count else { return .needsMore }
        }
        switch state {
        case .start:
            begin(bytes, &consumed)
        case .inline:
            try takeInline(bytes, &consumed)
        case .count(let line):
            if let count = try take(line, State.count, .countInvalid, bytes, &consumed) {
                try begin(count: count)
                makeRoom(for: count, byteCount: bytes.count - consumed)
            }
        case .bulkMark:
            if takeWhole(bytes, &consumed) { return nil }
            guard bytes[consumed] == UInt8(ascii: "$") else { throw .expectedBulk(bytes[consumed]) }
            consumed += 1
            state = .bulkLength(LengthLine())
        case .bulkLength(let line):
            if let byteCount = try take(line, State.bulkLength, .bulkInvalid, bytes, &consumed) {
                return try beginBulk(byteCount: byteCount)
            }
        case .collecting(let remaining):
            let byteCount = min(remaining, bytes.count - consumed)
            arguments.append(bytes.extracting(consumed..<consumed + byteCount))
            consumed += byteCount
            state =
                byteCount == remaining
                ? .bulkEnd(.collected, isCut: false) : .collecting(remaining - byteCount)
        case .bulkEnd(let kind, let isCut):
            return try endBulk(kind, isCut, bytes, &consumed)
        case .finished, .payload, .failed:
            break
        }
        return nil
    }

    /// Gives the memory of a large request back, once it is answered: a connection that is idle afterwards holds none.
    package mutating func releaseArguments() {
        guard !isInsideRequest,
            arguments.storage.capacity > Self.keptByteCountMax || arguments.count > Self.keptCountMax
        else { return }
        arguments.removeAll()
    }

    /// Bytes, and arguments, of a finished request that stay for the next one's sake.
    private static let keptByteCountMax = 4_096
    private static let keptCountMax = 256

    private mutating func begin(_ bytes: Span<UInt8>, _ consumed: inout Int) {
        arguments.removeAll()
        if bytes[consumed] == UInt8(ascii: "*") {
            consumed += 1
            state = .count(LengthLine())
        } else {
            state = .inline
        }
    }

    private mutating func begin(count: Int) throws(RequestError) {
        guard count <= limits.argumentCountMax else { throw .countInvalid }
        guard isAuthenticated || count <= Self.unauthenticatedArgumentCountMax else {
            throw .countUnauthenticated
        }
        expectedCount = count
        // As Redis: an empty or negative array is no request at all.
        state = count > 0 ? .bulkMark : .start
    }

    /// Makes room for a long list, as far as it has come already: what is only announced gets no memory.
    private mutating func makeRoom(for count: Int, byteCount: Int) {
        let longListCountMin = 16
        let shortestByteCount = 6
        guard count >= longListCountMin else { return }
        arguments.reserveCapacity(
            count: min(count, byteCount / shortestByteCount),
            byteCount: min(byteCount, limits.collectedByteCountMax)
        )
    }

    /// Takes the bulk strings that are here whole; false when there is none.
    private mutating func takeWhole(_ bytes: Span<UInt8>, _ consumed: inout Int) -> Bool {
        let byteCount = arguments.appendWhole(
            bytes,
            from: consumed,
            byteCountMax: isAuthenticated
                ? limits.smallByteCountMax
                : min(limits.smallByteCountMax, Self.unauthenticatedBulkByteCountMax),
            countMax: expectedCount,
            collectedByteCountMax: limits.collectedByteCountMax
        )
        guard byteCount > 0 else { return false }
        consumed += byteCount
        if arguments.count == expectedCount { state = .finished }
        return true
    }

    private mutating func beginBulk(byteCount: Int) throws(RequestError) -> Event? {
        guard (0...limits.bulkByteCountMax).contains(byteCount) else { throw .bulkInvalid }
        guard isAuthenticated || byteCount <= Self.unauthenticatedBulkByteCountMax else {
            throw .bulkUnauthenticated
        }
        if byteCount > limits.smallByteCountMax {
            let index = arguments.count
            state = .payload(remaining: byteCount)
            arguments.appendPayload(byteCount: byteCount)
            return .payloadBegins(index: index, byteCount: byteCount)
        }
        guard byteCount <= limits.collectedByteCountMax - arguments.collectedByteCount else {
            throw .requestTooLarge
        }
        state = byteCount == 0 ? .bulkEnd(.collected, isCut: false) : .collecting(byteCount)
        return nil
    }

    private mutating func endBulk(
        _ kind: BulkKind,
        _ isCut: Bool,
        _ bytes: Span<UInt8>,
        _ consumed: inout Int
    ) throws(RequestError) -> Event? {
        guard bytes[consumed] == UInt8(ascii: isCut ? "\n" : "\r") else { throw .bulkUnterminated }
        consumed += 1
        guard isCut else {
            state = .bulkEnd(kind, isCut: true)
            return nil
        }
        if case .collected = kind { arguments.endArgument() }
        state = arguments.count == expectedCount ? .finished : .bulkMark
        guard case .payload = kind else { return nil }
        return .payloadEnds(index: arguments.count - 1)
    }

    /// Reads a line that holds one integer; `nil` when the input ends before the line does.
    private mutating func take(
        _ line: LengthLine,
        _ next: (LengthLine) -> State,
        _ error: RequestError,
        _ bytes: Span<UInt8>,
        _ consumed: inout Int
    ) throws(RequestError) -> Int? {
        var line = line
        while consumed < bytes.count {
            let byte = bytes[consumed]
            consumed += 1
            if line.hasCarriageReturn {
                guard byte == UInt8(ascii: "\n"), let value = line.value else { throw error }
                return value
            }
            if byte == UInt8(ascii: "\r") {
                line.hasCarriageReturn = true
            } else if !line.take(byte) {
                throw error
            }
        }
        state = next(line)
        return nil
    }

    private mutating func takeInline(_ bytes: Span<UInt8>, _ consumed: inout Int) throws(RequestError) {
        let start = consumed
        while consumed < bytes.count, bytes[consumed] != UInt8(ascii: "\n") { consumed += 1 }
        guard inlineBytes.count + (consumed - start) <= limits.lineByteCountMax else { throw .inlineTooLong }
        // SAFETY: the bytes are copied before the call returns.
        unsafe bytes.extracting(start..<consumed).withUnsafeBufferPointer {
            unsafe inlineBytes.append(contentsOf: $0)
        }
        guard consumed < bytes.count else { return }
        consumed += 1
        if inlineBytes.last == UInt8(ascii: "\r") { inlineBytes.removeLast() }
        defer { inlineBytes = [] }
        guard let words = InlineWords.split(inlineBytes) else { throw .quotesUnbalanced }
        for word in words {
            arguments.append(word.span)
            arguments.endArgument()
        }
        state = words.isEmpty ? .start : .finished
    }
}
