package import Blocks

/// How a payload's pieces are to be coded: the codec, and what it must be told.
package struct PieceCoding: Hashable, Sendable {
    /// Pieces as they are.
    package static let raw = PieceCoding(.raw)

    /// The codec.
    package var codec: PayloadCodec
    /// The format of the elements, for `.exponent`.
    package var elementType: ElementType
    /// Whether `.exponent` tries LZ4 behind it.
    package var addsLZ4: Bool

    /// A codec, with what `.exponent` must be told.
    package init(_ codec: PayloadCodec, elementType: ElementType = .unspecified, addsLZ4: Bool = false) {
        self.codec = codec
        self.elementType = elementType
        self.addsLZ4 = addsLZ4
    }

    /// Codes one piece into `scratch.coded`.
    ///
    /// Gives the bytes used there; `nil` where the piece is stored as it is.
    package func encode(_ piece: UnsafeRawBufferPointer, scratch: CodecScratch) -> Int? {
        switch codec {
        case .raw: nil
        case .lz4: unsafe LZ4Codec.encode(piece, into: scratch.coded)
        case .lz4Planes: unsafe BytePlanesCodec.encode(piece, scratch: scratch)
        case .exponent:
            unsafe ExponentPieces.encode(piece, elementType: elementType, addsLZ4: addsLZ4, scratch: scratch)
        }
    }
}
