internal import RESP

/// Replies of LMCache's lm:// protocol as the events of a RESP server's: what is found without bytes is 1, what is not
/// found is nothing.
struct LMReplyParser {
    private(set) var isBetweenReplies = true
    private(set) var bulkRemainingByteCount = 0

    /// Bytes of a reply before its payload: nine 32-bit integers, of which code and length are read.
    private static let headerByteCount = 36
    private static let found: Int32 = 200
    private static let notFound: Int32 = 400

    /// The next event in `bytes` behind the first `consumed`; `nil` until more bytes are here.
    mutating func next(_ bytes: RawSpan, consumed: inout Int) throws(ReplyProtocolError) -> ReplyEvent? {
        let arrived = bytes.byteCount - consumed
        guard isBetweenReplies else {
            if bulkRemainingByteCount == 0 {
                isBetweenReplies = true
                return .bulkEnds
            }
            guard arrived > 0 else { return nil }
            let piece = consumed..<(consumed + min(arrived, bulkRemainingByteCount))
            consumed = piece.upperBound
            bulkRemainingByteCount -= piece.count
            return .bulkPiece(piece)
        }
        guard arrived >= Self.headerByteCount else { return nil }
        let code = Self.word(bytes, consumed)
        let byteCount = Int(Self.word(bytes, consumed + 4))
        consumed += Self.headerByteCount
        guard code == Self.found || code == Self.notFound, byteCount >= 0 else {
            throw ReplyProtocolError("a reply with code \(code) and \(byteCount) bytes")
        }
        guard code == Self.found else { return .null }
        guard byteCount > 0 else { return .integer(1) }
        isBetweenReplies = false
        bulkRemainingByteCount = byteCount
        return .bulkBegins(byteCount: byteCount)
    }

    /// So many payload bytes went past ``next(_:consumed:)``.
    mutating func receivedBulkBytes(_ count: Int) {
        bulkRemainingByteCount -= min(count, bulkRemainingByteCount)
    }

    private static func word(_ bytes: RawSpan, _ offset: Int) -> Int32 {
        // SAFETY: the caller has checked that the header's 36 bytes are here.
        unsafe Int32(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: Int32.self))
    }
}
