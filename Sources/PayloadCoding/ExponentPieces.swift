import Blocks

/// The exponent code, with LZ4 over its body where that was asked for and pays.
///
/// A stored piece is what `ExponentCodec` gives; the head's first byte is 0. With LZ4 it is 1, and LZ4's block stands
/// for the body, whose length before LZ4 is at byte 8 of the head (4 bytes, little endian).
enum ExponentPieces {
    private static let plainBody: UInt8 = 0
    private static let lz4Body: UInt8 = 1
    private static let headByteCount = ExponentCodec.headByteCount
    private static let bodyByteCountOffset = 8

    /// Codes `piece` into `scratch.coded`; `nil` where the piece is too long or its elements are not floats.
    static func encode(
        _ piece: UnsafeRawBufferPointer,
        elementType: ElementType,
        addsLZ4: Bool,
        scratch: CodecScratch
    ) -> Int? {
        let output = unsafe scratch.coded
        guard let codec = ExponentCodec(elementType, variant: scratch.variant),
            piece.count <= PayloadPieces.pieceByteCountMax,
            let count = unsafe codec.encode(piece, into: output, scratch: scratch.work)
        else { return nil }
        guard addsLZ4 else { return count }
        let room = unsafe scratch.staged
        let body = unsafe UnsafeRawBufferPointer(rebasing: output[headByteCount..<count])
        guard let packedCount = unsafe LZ4Codec.compress(body, into: room),
            pays(packedCount, insteadOf: body.count)
        else { return count }
        unsafe output[0] = lz4Body
        let target = unsafe UnsafeMutableRawBufferPointer(rebasing: output[headByteCount...])
        unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: room[..<packedCount]))
        return headByteCount + packedCount
    }

    /// Decodes a stored piece, safe for any bytes.
    static func decode(
        _ stored: UnsafeRawBufferPointer,
        into piece: UnsafeMutableRawBufferPointer,
        scratch: CodecScratch
    ) -> Bool {
        guard stored.count >= headByteCount, piece.count <= PayloadPieces.pieceByteCountMax else {
            return false
        }
        guard unsafe stored[0] == lz4Body else {
            return unsafe expand(stored, into: piece, scratch: scratch)
        }
        let count = unsafe UInt32(
            littleEndian: stored.loadUnaligned(fromByteOffset: bodyByteCountOffset, as: UInt32.self)
        )
        let whole = unsafe scratch.staged
        guard let bodyCount = Int(exactly: count), bodyCount <= whole.count - headByteCount else {
            return false
        }
        let codedCount = headByteCount + bodyCount
        let body = unsafe UnsafeMutableRawBufferPointer(rebasing: whole[headByteCount..<codedCount])
        guard
            unsafe LZ4Codec.expand(
                UnsafeRawBufferPointer(rebasing: stored[headByteCount...]),
                isCoded: LZ4Codec.coded,
                into: body
            )
        else { return false }
        unsafe whole.copyMemory(from: UnsafeRawBufferPointer(rebasing: stored[..<headByteCount]))
        unsafe whole[0] = plainBody
        let coded = unsafe UnsafeRawBufferPointer(rebasing: whole[..<codedCount])
        return unsafe expand(coded, into: piece, scratch: scratch)
    }

    private static func expand(
        _ coded: UnsafeRawBufferPointer,
        into piece: UnsafeMutableRawBufferPointer,
        scratch: CodecScratch
    ) -> Bool {
        unsafe ExponentCodec.decode(coded, into: piece, scratch: scratch.work, variant: scratch.variant)
    }

    /// Less than one byte in 32 is not worth a second decoder.
    private static func pays(_ packedCount: Int, insteadOf bodyCount: Int) -> Bool {
        packedCount <= bodyCount - bodyCount / 32
    }
}
