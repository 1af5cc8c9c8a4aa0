package import Blocks

/// The one place where codecs meet: a further codec gets a case here and in `CodecProbe`.
extension PayloadCodec {
    /// Codes one piece into `scratch.coded`.
    ///
    /// Gives the bytes used there; `nil` where the piece is stored as it is.
    package func encode(_ piece: UnsafeRawBufferPointer, scratch: CodecScratch) -> Int? {
        switch self {
        case .raw: nil
        case .lz4: unsafe LZ4Codec.encode(piece, into: scratch.coded)
        case .lz4Planes: unsafe BytePlanesCodec.encode(piece, scratch: scratch)
        }
    }

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
        }
    }
}
