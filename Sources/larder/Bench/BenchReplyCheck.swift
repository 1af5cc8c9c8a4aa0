internal import RESP

/// Judges the replies of one operation while they come, and says where payloads go.
///
/// No sockets.
struct BenchReplyCheck {
    /// What was wrong with an operation's replies.
    struct Faults: Hashable, Sendable {
        /// Error replies, refused blocks and replies of the wrong kind.
        var errorCount = 0
        /// Keys that were not there.
        var missCount = 0
        /// Payloads with other bytes or of another length than were stored.
        var wrongByteCount = 0
        /// The first error's text.
        var firstError: String?

        static func += (left: inout Faults, right: Faults) {
            left.errorCount += right.errorCount
            left.missCount += right.missCount
            left.wrongByteCount += right.wrongByteCount
            left.firstError = left.firstError ?? right.firstError
        }
    }

    private let request: BenchRequest
    private let payloadByteCount: Int
    private(set) var faults = Faults()
    private var repliesLeft: Int
    private var payloadIndex = 0
    private var isFirstInteger = true

    init(_ request: BenchRequest, payloadByteCount: Int) {
        self.request = request
        self.payloadByteCount = payloadByteCount
        repliesLeft = request.replyCount
    }

    /// Whether all replies of the operation are here.
    var isComplete: Bool { repliesLeft == 0 }

    /// The payload in progress, counted from the operation's first; `nil` when its bytes have no place.
    private(set) var openPayload: Int?

    /// Takes the parser's next event; `isReplyWhole` when it completes a reply.
    mutating func take(_ event: ReplyEvent, isReplyWhole: Bool) {
        judge(event)
        if isReplyWhole { repliesLeft -= 1 }
    }

    /// The payload in progress does not have the bytes that were stored.
    mutating func foundWrongBytes() {
        faults.wrongByteCount += 1
    }

    private mutating func judge(_ event: ReplyEvent) {
        switch (request.expectation, event) {
        case (_, .failure(let failure)): fail(failure.text)
        case (_, .bulkPiece): return
        case (.payloads, .bulkBegins(let byteCount)):
            openPayload =
                byteCount == payloadByteCount && payloadIndex < request.keys.count ? payloadIndex : nil
            if openPayload == nil { faults.wrongByteCount += 1 }
        case (.payloads, .bulkEnds):
            openPayload = nil
            payloadIndex += 1
        case (.payloads, .null):
            faults.missCount += 1
            payloadIndex += 1
        case (.payloads, .aggregateBegins), (.matched, .aggregateBegins), (.blocks, .aggregateBegins): return
        case (.stored, .integer(1)): return
        case (.stored, .status("OK")), (.blocks, .status("stored")), (.blocks, .status("exists")): return
        case (.present, .null): faults.missCount += 1
        case (.present, .integer(let value)): if value != 1 { faults.missCount += 1 }
        case (.matched, .integer(let matched)):
            // [matched, lease or nothing, tiers]: the first number counts.
            if isFirstInteger { faults.missCount += max(0, request.keys.count - Int(clamping: matched)) }
            isFirstInteger = false
        case (.matched, .null), (.matched, .status), (.matched, .bulkBegins), (.matched, .bulkEnds): return
        case (.anything, _): return
        default: fail("unexpected reply: \(event)")
        }
    }

    private mutating func fail(_ text: String) {
        faults.errorCount += 1
        faults.firstError = faults.firstError ?? text
    }
}
