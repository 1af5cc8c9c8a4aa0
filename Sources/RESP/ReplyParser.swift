/// Reads RESP2 and RESP3 replies from bytes that come in any pieces.
///
/// Pure: it holds no bytes and receives none.
///
/// Call ``next(_:consumed:)`` until it returns `nil`, then again with more bytes. After `bulkBegins(byteCount: n)` the
/// next `n` bytes of the stream are payload, ``bulkRemainingByteCount`` says how many are still to come, and there are
/// two ways to take them, in any mixture: go on calling `next`, which points at pieces of its input; or receive them
/// straight into memory of your own and say so by ``receivedBulkBytes(_:)``.
///
/// Push messages and attributes (RESP3) belong to no request: they are read over silently. Nothing that a peer sends
/// traps: it is an event, a wish for more bytes, or a ``ReplyProtocolError``, after which the parser is of no use.
package struct ReplyParser: Sendable {
    private let limits: ReplyLimits
    private var step = Step.start
    private var frames: [Frame] = []
    private var silentFrameCount = 0
    private var elementCount = 0
    private var bulkRemaining = 0
    private var scannedByteCount = 0

    /// Whether the last reply is complete and no other has begun: true at the start.
    package private(set) var isBetweenReplies = true

    private enum Step {
        case start
        case bulk
        case bulkLineEnd
        case verbatimFormat(byteCount: Int)
        case bulkFailure(byteCount: Int)
    }

    private struct Frame {
        enum Kind { case aggregate, attribute, push }
        var kind: Kind
        var remaining: Int
    }

    private enum Advance {
        case event(ReplyEvent)
        case noEvent
        case needsMore
    }

    /// A parser at the start of a stream.
    package init(limits: ReplyLimits = ReplyLimits()) {
        self.limits = limits
    }

    /// Payload bytes still to come of the bulk string that was announced; 0 outside one.
    package var bulkRemainingByteCount: Int { silentFrameCount == 0 ? bulkRemaining : 0 }

    /// The next event in `bytes` from offset `consumed` on; moves `consumed` behind what it used.
    ///
    /// `nil`: what is left is no whole step. Keep it and come again with more bytes behind it.
    package mutating func next(
        _ bytes: RawSpan,
        consumed: inout Int
    ) throws(ReplyProtocolError) -> ReplyEvent? {
        while consumed < bytes.byteCount {
            let isSilent = silentFrameCount > 0
            switch try advance(bytes, &consumed) {
            case .needsMore: return nil
            case .noEvent: continue
            case .event(let event): if !isSilent { return event }
            }
        }
        return nil
    }

    /// Says that `count` payload bytes of the announced bulk string were received elsewhere.
    package mutating func receivedBulkBytes(_ count: Int) {
        guard case .bulk = step, silentFrameCount == 0, count > 0 else { return }
        tookBulkBytes(min(count, bulkRemaining))
    }

    // MARK: One step

    private mutating func advance(_ bytes: RawSpan, _ consumed: inout Int) throws(ReplyProtocolError)
        -> Advance
    {
        switch step {
        case .start: return try beginValue(bytes, &consumed)
        case .bulk:
            let count = min(bulkRemaining, bytes.byteCount - consumed)
            let piece = consumed..<(consumed + count)
            consumed = piece.upperBound
            tookBulkBytes(count)
            return .event(.bulkPiece(piece))
        case .bulkLineEnd:
            guard try takeLineEnd(bytes, &consumed) else { return .needsMore }
            step = .start
            completeValue()
            return .event(.bulkEnds)
        case .verbatimFormat(let byteCount):
            guard bytes.byteCount - consumed >= 4 else { return .needsMore }
            consumed += 4
            return beginBulk(byteCount - 4)
        case .bulkFailure(let byteCount):
            guard bytes.byteCount - consumed >= byteCount + 2 else { return .needsMore }
            let text = bytes.text(consumed..<(consumed + byteCount))
            consumed += byteCount
            guard try takeLineEnd(bytes, &consumed) else { return .needsMore }
            step = .start
            return complete(.failure(ReplyFailure(text)))
        }
    }

    private mutating func beginValue(_ bytes: RawSpan, _ consumed: inout Int) throws(ReplyProtocolError)
        -> Advance
    {
        let type = bytes.byte(at: consumed)
        guard Self.types.contains(type) else {
            throw ReplyProtocolError("a reply cannot begin with byte \(type)")
        }
        guard let line = try takeLine(bytes, &consumed) else { return .needsMore }
        if silentFrameCount == 0, type != UInt8(ascii: "|"), type != UInt8(ascii: ">") {
            isBetweenReplies = false
        }
        switch type {
        case UInt8(ascii: "+"): return complete(.status(bytes.text(line)))
        case UInt8(ascii: "-"): return complete(.failure(ReplyFailure(bytes.text(line))))
        case UInt8(ascii: ":"): return complete(.integer(try integer(bytes, line)))
        case UInt8(ascii: "_"): return complete(.null)
        case UInt8(ascii: "#"): return complete(.boolean(try boolean(bytes, line)))
        case UInt8(ascii: ","): return complete(.double(try double(bytes, line)))
        case UInt8(ascii: "("): return complete(.bigNumber(bytes.text(line)))
        case UInt8(ascii: "$"):
            guard let byteCount = try length(bytes, line, max: limits.bulkByteCountMax) else {
                return complete(.null)
            }
            return beginBulk(byteCount)
        case UInt8(ascii: "="):
            guard let byteCount = try length(bytes, line, max: limits.bulkByteCountMax), byteCount >= 4 else {
                throw ReplyProtocolError("a verbatim string has at least 4 bytes")
            }
            step = .verbatimFormat(byteCount: byteCount)
            return .noEvent
        case UInt8(ascii: "!"):
            guard let byteCount = try length(bytes, line, max: limits.lineByteCountMax) else {
                throw ReplyProtocolError("a bulk error has a length")
            }
            step = .bulkFailure(byteCount: byteCount)
            return .noEvent
        default: return try beginFrame(type, bytes, line)
        }
    }

    private static let types = Array("+-:_#,($=!*~%|>".utf8)

    private mutating func beginBulk(_ byteCount: Int) -> Advance {
        bulkRemaining = byteCount
        step = byteCount == 0 ? .bulkLineEnd : .bulk
        return .event(.bulkBegins(byteCount: byteCount))
    }

    private mutating func tookBulkBytes(_ count: Int) {
        bulkRemaining -= count
        if bulkRemaining == 0 { step = .bulkLineEnd }
    }

    // MARK: Nesting

    private mutating func beginFrame(
        _ type: UInt8,
        _ bytes: RawSpan,
        _ line: Range<Int>
    ) throws(ReplyProtocolError) -> Advance {
        let isPaired = type == UInt8(ascii: "%") || type == UInt8(ascii: "|")
        let countMax = limits.elementCountMax - elementCount
        guard let written = try length(bytes, line, max: isPaired ? countMax / 2 : countMax) else {
            return complete(.null)
        }
        let count = isPaired ? written * 2 : written
        elementCount += count
        guard frames.count < limits.depthMax else {
            throw ReplyProtocolError("a reply is nested deeper than \(limits.depthMax)")
        }
        switch type {
        case UInt8(ascii: "|"):
            openSilently(.attribute, count)
            return .noEvent
        case UInt8(ascii: ">"):
            guard frames.isEmpty else { throw ReplyProtocolError("a push message inside a reply") }
            openSilently(.push, count)
            return .noEvent
        default:
            let kind: ReplyAggregate =
                type == UInt8(ascii: "*") ? .array : type == UInt8(ascii: "~") ? .set : .map
            let event = ReplyEvent.aggregateBegins(kind: kind, count: count)
            guard count > 0 else { return complete(event) }
            frames.append(Frame(kind: .aggregate, remaining: count))
            return .event(event)
        }
    }

    private mutating func openSilently(_ kind: Frame.Kind, _ count: Int) {
        guard count > 0 else { return }
        frames.append(Frame(kind: kind, remaining: count))
        silentFrameCount += 1
    }

    private mutating func complete(_ event: ReplyEvent) -> Advance {
        completeValue()
        return .event(event)
    }

    /// Counts one value in the innermost frame and closes the frames that it completes.
    private mutating func completeValue() {
        while let innermost = frames.indices.last {
            frames[innermost].remaining -= 1
            guard frames[innermost].remaining == 0 else { return }
            guard frames.removeLast().kind == .aggregate else {
                // An attribute stands before a value and a push before a reply: neither counts as one.
                silentFrameCount -= 1
                if frames.isEmpty { elementCount = 0 }
                return
            }
        }
        elementCount = 0
        isBetweenReplies = true
    }

    // MARK: Lines and numbers

    /// The line after the type byte, without its end; `nil` while the end is not there.
    private mutating func takeLine(
        _ bytes: RawSpan,
        _ consumed: inout Int
    ) throws(ReplyProtocolError) -> Range<Int>? {
        var offset = consumed + max(1, scannedByteCount)
        while offset < bytes.byteCount, bytes.byte(at: offset) != UInt8(ascii: "\n") { offset += 1 }
        guard offset - consumed <= limits.lineByteCountMax + 2 else {
            throw ReplyProtocolError("a line is longer than \(limits.lineByteCountMax) bytes")
        }
        guard offset < bytes.byteCount else {
            scannedByteCount = offset - consumed
            return nil
        }
        guard offset - 1 > consumed, bytes.byte(at: offset - 1) == UInt8(ascii: "\r") else {
            throw ReplyProtocolError("a line ends without a carriage return")
        }
        let line = (consumed + 1)..<(offset - 1)
        scannedByteCount = 0
        consumed = offset + 1
        return line
    }

    private func takeLineEnd(_ bytes: RawSpan, _ consumed: inout Int) throws(ReplyProtocolError) -> Bool {
        let available = bytes.byteCount - consumed
        guard available >= 1 else { return false }
        guard bytes.byte(at: consumed) == UInt8(ascii: "\r"),
            available < 2 || bytes.byte(at: consumed + 1) == UInt8(ascii: "\n")
        else { throw ReplyProtocolError("a bulk string is longer than its length says") }
        guard available >= 2 else { return false }
        consumed += 2
        return true
    }

    /// A length: digits, or `-1` for nothing (`nil`).
    private func length(_ bytes: RawSpan, _ line: Range<Int>, max: Int) throws(ReplyProtocolError) -> Int? {
        let value = try integer(bytes, line)
        if value == -1 { return nil }
        guard value >= 0, value <= max else {
            throw ReplyProtocolError("a length of \(value) is not within 0...\(max)")
        }
        return Int(value)
    }

    private func integer(_ bytes: RawSpan, _ line: Range<Int>) throws(ReplyProtocolError) -> Int64 {
        var offset = line.lowerBound
        let isNegative = offset < line.upperBound && bytes.byte(at: offset) == UInt8(ascii: "-")
        if isNegative || (offset < line.upperBound && bytes.byte(at: offset) == UInt8(ascii: "+")) {
            offset += 1
        }
        guard offset < line.upperBound, line.upperBound - offset <= 20 else {
            throw ReplyProtocolError("'\(bytes.text(line))' is no integer")
        }
        var value: Int64 = 0
        while offset < line.upperBound {
            let digit = bytes.byte(at: offset) &- UInt8(ascii: "0")
            let (shifted, isTooLarge) = value.multipliedReportingOverflow(by: 10)
            let (sum, isOver) =
                isNegative
                ? shifted.subtractingReportingOverflow(Int64(digit))
                : shifted.addingReportingOverflow(Int64(digit))
            guard digit <= 9, !isTooLarge, !isOver else {
                throw ReplyProtocolError("'\(bytes.text(line))' is no integer")
            }
            value = sum
            offset += 1
        }
        return value
    }

    private func boolean(_ bytes: RawSpan, _ line: Range<Int>) throws(ReplyProtocolError) -> Bool {
        switch bytes.text(line) {
        case "t": return true
        case "f": return false
        default: throw ReplyProtocolError("'\(bytes.text(line))' is no boolean")
        }
    }

    private func double(_ bytes: RawSpan, _ line: Range<Int>) throws(ReplyProtocolError) -> Double {
        guard let value = Double(bytes.text(line)) else {
            throw ReplyProtocolError("'\(bytes.text(line))' is no number")
        }
        return value
    }
}

extension RawSpan {
    /// The byte at `offset`; traps outside the span: a mistake of the parser's.
    fileprivate func byte(at offset: Int) -> UInt8 {
        // SAFETY: the offset is checked against the span's bounds, and every byte is a UInt8.
        unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    /// The bytes of `range` as text, repaired where they are no UTF-8.
    fileprivate func text(_ range: Range<Int>) -> String {
        // SAFETY: the bytes are copied into the string before the call returns.
        unsafe extracting(range).withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
    }
}
