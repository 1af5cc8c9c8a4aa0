/// A request that breaks the protocol: the reply is this text, and the connection ends.
package struct RequestError: Error, Hashable, Sendable {
    /// The reply's text without `-` and line end, in Redis's words where Redis has some.
    package let message: String

    init(_ detail: String) {
        message = "ERR Protocol error: \(detail)"
    }

    static let countInvalid = RequestError("invalid multibulk length")
    static let countUnauthenticated = RequestError("unauthenticated multibulk length")
    static let bulkInvalid = RequestError("invalid bulk length")
    static let bulkUnauthenticated = RequestError("unauthenticated bulk length")
    static let bulkUnterminated = RequestError("expected CRLF after a bulk string")
    static let inlineTooLong = RequestError("too big inline request")
    static let quotesUnbalanced = RequestError("unbalanced quotes in request")
    static let requestTooLarge = RequestError("too many bytes in small arguments")

    static func expectedBulk(_ byte: UInt8) -> RequestError {
        RequestError("expected '$', got '\(Character(UnicodeScalar(byte)))'")
    }
}
