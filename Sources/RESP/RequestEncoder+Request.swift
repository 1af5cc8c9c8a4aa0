/// One or more encoded requests: framing of its own and payloads that lie elsewhere, in the order of the wire.
///
/// Sendable by contract: the framing never changes, and whoever referred to a payload keeps it readable and unchanged
/// until the request is sent or given up.
package struct EncodedRequest: @unchecked Sendable {
    @safe struct Payload {
        let framingOffset: Int
        @unsafe let bytes: UnsafeRawBufferPointer
    }

    private let framing: [UInt8]
    private let payloads: [Payload]

    /// Bytes on the wire.
    package let byteCount: Int

    init(framing: [UInt8], payloads: [Payload]) {
        self.framing = framing
        self.payloads = payloads
        byteCount = payloads.reduce(framing.count) { sum, payload in unsafe sum + payload.bytes.count }
    }

    /// How far a request is sent.
    package struct Progress: Hashable, Sendable {
        /// Bytes sent.
        package private(set) var byteCount = 0
        fileprivate var piece = 0
        fileprivate var offset = 0

        /// Nothing is sent.
        package init() {}

        fileprivate mutating func advance(_ count: Int, pieceByteCount: (Int) -> Int) {
            byteCount += count
            offset += count
            while offset > 0, offset >= pieceByteCount(piece) {
                offset -= pieceByteCount(piece)
                piece += 1
            }
        }
    }

    /// Lends the next bytes to send, at most `countMax` pieces; `body` returns how many of them it sent.
    package func sendNext(
        _ progress: inout Progress,
        countMax: Int,
        _ body: (_ pieces: [UnsafeRawBufferPointer]) -> Int
    ) {
        let sent = unsafe framing.withUnsafeBytes { framing in
            var pieces = unsafe [UnsafeRawBufferPointer]()
            var index = progress.piece
            var skipped = progress.offset
            while unsafe pieces.count < countMax, index <= 2 * payloads.count {
                let piece = unsafe bytes(ofPiece: index, framing)
                if piece.count > skipped {
                    unsafe pieces.append(UnsafeRawBufferPointer(rebasing: piece[skipped...]))
                }
                skipped = 0
                index += 1
            }
            return unsafe body(pieces)
        }
        progress.advance(max(0, min(sent, byteCount - progress.byteCount))) { piece in
            piece <= 2 * payloads.count ? byteCountOfPiece(piece) : .max
        }
    }

    /// Even pieces are framing, odd ones payloads.
    private func bytes(ofPiece index: Int, _ framing: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        // SAFETY: payloads are kept by contract; framing offsets were taken from the framing's own length.
        index.isMultiple(of: 2)
            ? unsafe UnsafeRawBufferPointer(rebasing: framing[framingRange(index / 2)])
            : unsafe payloads[index / 2].bytes
    }

    private func byteCountOfPiece(_ index: Int) -> Int {
        index.isMultiple(of: 2) ? framingRange(index / 2).count : unsafe payloads[index / 2].bytes.count
    }

    private func framingRange(_ index: Int) -> Range<Int> {
        let start = index == 0 ? 0 : payloads[index - 1].framingOffset
        return start..<(index < payloads.count ? payloads[index].framingOffset : framing.count)
    }
}
