import PayloadCoding

/// Lends arrays to the codec.
enum Lender {
    static func encode(
        _ piece: [UInt8],
        _ codec: ExponentCodec,
        roomByteCount: Int? = nil,
        scratchByteCount: Int = ExponentCodec.scratchByteCount
    ) -> [UInt8]? {
        var room = [UInt8](repeating: 0, count: roomByteCount ?? ExponentCodec.bound(piece.count))
        var scratch = [UInt8](repeating: 0, count: scratchByteCount)
        // SAFETY: each buffer is an array's own, lent for the call.
        let count = unsafe piece.withUnsafeBytes { piece in
            unsafe room.withUnsafeMutableBytes { room in
                unsafe scratch.withUnsafeMutableBytes { unsafe codec.encode(piece, into: room, scratch: $0) }
            }
        }
        return count.map { Array(room[..<$0]) }
    }

    /// `nil` when the codec refuses the bytes; traps when it writes behind the piece.
    static func decode(_ coded: [UInt8], _ byteCount: Int, _ variant: ExponentVariant) -> [UInt8]? {
        let guardedByteCount = 64
        var room = [UInt8](repeating: 0xA5, count: byteCount + guardedByteCount)
        var scratch = [UInt8](repeating: 0, count: ExponentCodec.scratchByteCount)
        // SAFETY: each buffer is an array's own, lent for the call.
        let isDecoded = unsafe coded.withUnsafeBytes { coded in
            unsafe room.withUnsafeMutableBytes { room in
                let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: room[..<byteCount])
                return unsafe scratch.withUnsafeMutableBytes { scratch in
                    unsafe ExponentCodec.decode(coded, into: piece, scratch: scratch, variant: variant)
                }
            }
        }
        precondition(room[byteCount...].allSatisfy { $0 == 0xA5 }, "the decoder wrote behind its piece")
        return isDecoded ? Array(room[..<byteCount]) : nil
    }
}
