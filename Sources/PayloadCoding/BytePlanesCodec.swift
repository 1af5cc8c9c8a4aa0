/// 16-bit elements as two byte planes, each with LZ4 where it shrinks: the exponents of floats lie in the
/// high bytes.
///
/// A stored piece is: form of the high plane (1 byte, 0 plain, 1 LZ4), form of the low plane (1), bytes of
/// the high plane (4, little endian), the high plane, the low plane, and the odd last byte of a piece that
/// has one.
enum BytePlanesCodec {
    private static let headByteCount = 6

    /// Codes `piece` into `scratch.coded`.
    ///
    /// Never fails: a plane that does not shrink is stored as it is.
    static func encode(_ piece: UnsafeRawBufferPointer, scratch: CodecScratch) -> Int {
        let elementCount = piece.count / 2
        let planes = unsafe split(piece, elementCount: elementCount, into: scratch.planes)
        let output = unsafe scratch.coded
        var end = headByteCount
        for number in 0..<2 {
            let plane = unsafe number == 0 ? planes.high : planes.low
            let room = unsafe UnsafeMutableRawBufferPointer(rebasing: output[end...])
            let start = end
            if let count = unsafe LZ4Codec.compress(plane, into: room) {
                unsafe output[number] = LZ4Codec.coded
                end += count
            } else {
                unsafe output[number] = LZ4Codec.plain
                unsafe room.copyMemory(from: plane)
                end += plane.count
            }
            if number == 0 {
                let count = UInt32(truncatingIfNeeded: end - start)
                unsafe output.storeBytes(of: count.littleEndian, toByteOffset: 2, as: UInt32.self)
            }
        }
        if !piece.count.isMultiple(of: 2), let last = unsafe piece.last {
            unsafe output[end] = last
            end += 1
        }
        return end
    }

    /// Decodes a stored piece, safe for any bytes.
    static func decode(
        _ stored: UnsafeRawBufferPointer,
        into piece: UnsafeMutableRawBufferPointer,
        scratch: CodecScratch
    ) -> Bool {
        let elementCount = piece.count / 2
        let oddByteCount = piece.count % 2
        guard stored.count >= headByteCount + oddByteCount,
            elementCount * 2 <= PayloadPieces.pieceByteCountMax
        else { return false }
        let highCount = unsafe UInt32(littleEndian: stored.loadUnaligned(fromByteOffset: 2, as: UInt32.self))
        let lowEnd = stored.count - oddByteCount
        guard Int(highCount) <= lowEnd - headByteCount else { return false }
        let lowStart = headByteCount + Int(highCount)
        let high = unsafe UnsafeMutableRawBufferPointer(rebasing: scratch.planes[..<elementCount])
        let low = unsafe UnsafeMutableRawBufferPointer(
            rebasing: scratch.planes[elementCount..<(elementCount * 2)]
        )
        guard
            unsafe LZ4Codec.expand(
                UnsafeRawBufferPointer(rebasing: stored[headByteCount..<lowStart]),
                isCoded: stored[0],
                into: high
            ),
            unsafe LZ4Codec.expand(
                UnsafeRawBufferPointer(rebasing: stored[lowStart..<lowEnd]),
                isCoded: stored[1],
                into: low
            )
        else { return false }
        unsafe join(high: high, low: low, elementCount: elementCount, into: piece)
        if oddByteCount == 1 { unsafe piece[piece.count - 1] = stored[stored.count - 1] }
        return true
    }

    /// Splits little-endian 16-bit elements; `planes` has two bytes for each.
    static func split(
        _ piece: UnsafeRawBufferPointer,
        elementCount: Int,
        into planes: UnsafeMutableRawBufferPointer
    ) -> (high: UnsafeRawBufferPointer, low: UnsafeRawBufferPointer) {
        let high = unsafe UnsafeMutableRawBufferPointer(rebasing: planes[..<elementCount])
        let low = unsafe UnsafeMutableRawBufferPointer(rebasing: planes[elementCount..<(elementCount * 2)])
        if let source = piece.baseAddress, let high = high.baseAddress, let low = low.baseAddress {
            // SAFETY: both planes have elementCount bytes and the piece twice as many.
            for element in 0..<elementCount {
                let word = unsafe source.loadUnaligned(fromByteOffset: element &* 2, as: UInt16.self)
                    .littleEndian
                unsafe high.storeBytes(
                    of: UInt8(truncatingIfNeeded: word >> 8),
                    toByteOffset: element,
                    as: UInt8.self
                )
                unsafe low.storeBytes(
                    of: UInt8(truncatingIfNeeded: word),
                    toByteOffset: element,
                    as: UInt8.self
                )
            }
        }
        return (UnsafeRawBufferPointer(high), UnsafeRawBufferPointer(low))
    }

    private static func join(
        high: UnsafeMutableRawBufferPointer,
        low: UnsafeMutableRawBufferPointer,
        elementCount: Int,
        into piece: UnsafeMutableRawBufferPointer
    ) {
        guard let high = high.baseAddress, let low = low.baseAddress, let target = piece.baseAddress else {
            return
        }
        // SAFETY: as in split.
        for element in 0..<elementCount {
            let word =
                unsafe UInt16(high.load(fromByteOffset: element, as: UInt8.self)) << 8
                | UInt16(low.load(fromByteOffset: element, as: UInt8.self))
            unsafe target.storeBytes(of: word.littleEndian, toByteOffset: element &* 2, as: UInt16.self)
        }
    }
}
