package import Blocks

/// The one place where codecs are decoded; coding is `PieceCoding`'s, the choice `CodecProbe`'s.
extension PayloadCodec {
    /// Decodes one piece; fills `piece` exactly.
    ///
    /// Safe for any bytes; `false` when they are not this codec's.
    package func decode(
        _ stored: UnsafeRawBufferPointer,
        into piece: UnsafeMutableRawBufferPointer,
        scratch: CodecScratch
    ) -> Bool {
        switch self {
        case .raw:
            guard stored.count == piece.count else { return false }
            unsafe piece.copyMemory(from: stored)
            return true
        case .lz4: return unsafe LZ4Codec.decode(stored, into: piece)
        case .lz4Planes: return unsafe BytePlanesCodec.decode(stored, into: piece, scratch: scratch)
        case .exponent: return unsafe ExponentPieces.decode(stored, into: piece, scratch: scratch)
        }
    }
}
