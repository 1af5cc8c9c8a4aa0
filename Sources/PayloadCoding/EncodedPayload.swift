package import Blocks

/// A payload as it will be stored: its coding, its stored length and checksum, and its pieces one after the
/// other.
///
/// The header, which comes before the pieces, needs length and checksum, so the pieces are coded first and
/// kept; what does not fit into `keptByteCountMax` is coded a second time when it is written.
@safe
package struct EncodedPayload: ~Copyable {
    /// Most bytes of coded pieces kept in memory.
    static let keptByteCountMax = 32 << 20

    /// How the pieces are coded; `.raw` whatever was asked for, when coding did not shrink them.
    package let coding: PieceCoding
    /// Bytes of all pieces as they are stored.
    package let storedByteCount: Int
    /// XXH3 of those bytes.
    package let storedChecksum: UInt64
    // SAFETY: lent by the caller for the life of this value.
    private let payload: UnsafeRawBufferPointer
    private let pieces: PayloadPieces
    private let kept: [UInt8]
    private let keptEnds: [Int]

    /// Codes a payload that stays valid as long as this value.
    package init(
        _ payload: UnsafeRawBufferPointer,
        payloadChecksum: UInt64,
        coding: PieceCoding,
        scratch: CodecScratch
    ) {
        unsafe self.payload = payload
        pieces = PayloadPieces(payloadByteCount: payload.count)
        var storedByteCount = 0
        var kept: [UInt8] = []
        var keptEnds: [Int] = []
        var checksum = PayloadChecksumStream()
        if coding.codec != .raw {
            for range in pieces {
                let coded = unsafe Self.code(range, of: payload, coding, scratch)
                unsafe checksum.update(coded)
                storedByteCount += coded.count
                // A single piece stays where it is until it is written.
                if pieces.count > 1, storedByteCount <= Self.keptByteCountMax {
                    unsafe kept.append(contentsOf: coded)
                    keptEnds.append(kept.count)
                }
            }
        }
        // The last word is the real size's, whatever the sample promised.
        let isSmaller = coding.codec != .raw && storedByteCount < payload.count
        self.coding = isSmaller ? coding : .raw
        self.storedByteCount = isSmaller ? storedByteCount : payload.count
        storedChecksum = isSmaller ? checksum.value() : payloadChecksum
        self.kept = isSmaller ? kept : []
        self.keptEnds = isSmaller ? keptEnds : []
    }

    /// Lends the stored pieces in order; `scratch` is the one that coded them and was not used since.
    package func forEachPiece(
        scratch: CodecScratch,
        _ body: (UnsafeRawBufferPointer) throws(CacheError) -> Void
    ) throws(CacheError) {
        for (number, range) in pieces.enumerated() {
            if coding.codec == .raw {
                try unsafe body(UnsafeRawBufferPointer(rebasing: payload[range]))
            } else if pieces.count == 1 {
                try unsafe body(UnsafeRawBufferPointer(rebasing: scratch.coded[..<storedByteCount]))
            } else if number < keptEnds.count {
                let start = number == 0 ? 0 : keptEnds[number - 1]
                let end = keptEnds[number]
                try unsafe kept.span.extracting(start..<end).withUnsafeBytes { bytes throws(CacheError) in
                    try unsafe body(bytes)
                }
            } else {
                try unsafe body(Self.code(range, of: payload, coding, scratch))
            }
        }
    }

    private static func code(
        _ range: Range<Int>,
        of payload: UnsafeRawBufferPointer,
        _ coding: PieceCoding,
        _ scratch: CodecScratch
    ) -> UnsafeRawBufferPointer {
        let piece = unsafe UnsafeRawBufferPointer(rebasing: payload[range])
        guard let count = unsafe coding.encode(piece, scratch: scratch) else { return unsafe piece }
        return unsafe UnsafeRawBufferPointer(rebasing: scratch.coded[..<count])
    }
}
