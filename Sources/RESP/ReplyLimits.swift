/// What a reply may ask of the one who reads it.
///
/// A reply beyond a limit is a protocol error.
package struct ReplyLimits: Hashable, Sendable {
    /// Longest line (status, error, number, length), bytes without its end; also the longest bulk error.
    package var lineByteCountMax = 16 << 10
    /// Longest bulk string, bytes.
    package var bulkByteCountMax = 512 << 20
    /// Deepest nesting of arrays, sets and maps.
    package var depthMax = 8
    /// Most elements of one reply, all levels together; a map's pair counts as two.
    package var elementCountMax = 1 << 20

    /// The defaults.
    package init() {}
}
