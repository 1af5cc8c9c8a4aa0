internal import RESP

/// Replies as events, whatever the server speaks.
struct BenchReplyParser {
    private let dialect: BenchDialect
    private var resp = ReplyParser()
    private var lm = LMReplyParser()

    init(_ dialect: BenchDialect) { self.dialect = dialect }

    /// Whether the last event completed a reply.
    var isBetweenReplies: Bool {
        switch dialect {
        case .resp: resp.isBetweenReplies
        case .lm: lm.isBetweenReplies
        }
    }

    /// Bytes of the payload in progress that were not counted yet.
    var bulkRemainingByteCount: Int {
        switch dialect {
        case .resp: resp.bulkRemainingByteCount
        case .lm: lm.bulkRemainingByteCount
        }
    }

    /// The next event in `bytes` behind the first `consumed`; `nil` until more bytes are here.
    mutating func next(_ bytes: RawSpan, consumed: inout Int) throws(ReplyProtocolError) -> ReplyEvent? {
        switch dialect {
        case .resp: try resp.next(bytes, consumed: &consumed)
        case .lm: try lm.next(bytes, consumed: &consumed)
        }
    }

    /// So many payload bytes were received elsewhere.
    mutating func receivedBulkBytes(_ count: Int) {
        switch dialect {
        case .resp: resp.receivedBulkBytes(count)
        case .lm: lm.receivedBulkBytes(count)
        }
    }
}
