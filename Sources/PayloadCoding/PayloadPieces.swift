/// How a payload is cut: pieces of at most 2 MiB, near equal, each stored under a key of its own and coded by
/// itself.
///
/// Near equal, because a tiny last piece would share a table block with the next block's first piece, and
/// reading it would read both.
package struct PayloadPieces: RandomAccessCollection, Sendable {
    /// Most bytes of one piece, before coding.
    package static let pieceByteCountMax = 2 << 20

    /// Bytes of the payload.
    package let payloadByteCount: Int
    private let pieceByteCount: Int

    /// Cuts a payload of 1 byte or more.
    package init(payloadByteCount: Int) {
        self.payloadByteCount = payloadByteCount
        let most = Self.pieceByteCountMax
        let pieceCount = Swift.max(1, payloadByteCount / most + (payloadByteCount % most == 0 ? 0 : 1))
        // Whole cache lines; rounding up cannot pass 2 MiB, which is a multiple of 64.
        let even = payloadByteCount / pieceCount + (payloadByteCount % pieceCount == 0 ? 0 : 1)
        pieceByteCount = Swift.max(64, (even + 63) / 64 * 64)
    }

    /// The first piece.
    package var startIndex: Int { 0 }
    /// Number of pieces.
    package var endIndex: Int {
        payloadByteCount / pieceByteCount + (payloadByteCount % pieceByteCount == 0 ? 0 : 1)
    }
    /// Bytes of the payload in a piece.
    package subscript(piece: Int) -> Range<Int> {
        let start = piece * pieceByteCount
        return start..<Swift.min(start + pieceByteCount, payloadByteCount)
    }
}
