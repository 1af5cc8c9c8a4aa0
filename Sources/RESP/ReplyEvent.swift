/// One step of a reply, as the parser meets it.
package enum ReplyEvent: Hashable, Sendable {
    /// `+OK`.
    case status(String)
    /// `-ERR text`, or a bulk error.
    case failure(ReplyFailure)
    /// `:42`.
    case integer(Int64)
    /// RESP3 `,1.5`.
    case double(Double)
    /// RESP3 `#t`.
    case boolean(Bool)
    /// RESP3 `(`: an integer beyond 64 bits, as text.
    case bigNumber(String)
    /// `$-1`, `*-1` or RESP3 `_`.
    case null
    /// A bulk string of `byteCount` bytes begins; pieces and `bulkEnds` follow.
    case bulkBegins(byteCount: Int)
    /// The next bytes of the bulk string: where they lie in the bytes given to this call.
    case bulkPiece(Range<Int>)
    /// The bulk string is whole and its line end was there.
    case bulkEnds
    /// `count` elements follow, each a whole reply; a map's pairs come as key, value, key, value.
    case aggregateBegins(kind: ReplyAggregate, count: Int)
}

/// The kinds of replies that hold replies.
package enum ReplyAggregate: Hashable, Sendable {
    /// `*`.
    case array
    /// RESP3 `~`.
    case set
    /// RESP3 `%`.
    case map
}
