import CLZ4

/// LZ4 over one piece.
///
/// A stored piece is one byte, 0 or 1, and the piece as it is or LZ4's block.
enum LZ4Codec {
    static let plain: UInt8 = 0
    static let coded: UInt8 = 1

    /// Codes `piece` into `output`, which has room for it and 64 bytes more.
    ///
    /// Never fails: what does not shrink is stored as it is.
    static func encode(_ piece: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int {
        let body = unsafe UnsafeMutableRawBufferPointer(rebasing: output[1...])
        if let count = unsafe compress(piece, into: body) {
            unsafe output[0] = coded
            return count + 1
        }
        unsafe output[0] = plain
        unsafe body.copyMemory(from: piece)
        return piece.count + 1
    }

    /// Decodes a stored piece, safe for any bytes.
    static func decode(_ stored: UnsafeRawBufferPointer, into piece: UnsafeMutableRawBufferPointer) -> Bool {
        guard let form = unsafe stored.first else { return false }
        let body = unsafe UnsafeRawBufferPointer(rebasing: stored[1...])
        return unsafe expand(body, isCoded: form, into: piece)
    }

    /// Bytes of `input` after LZ4, written to `output`; `nil` unless that is less than `input` has.
    static func compress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int?
    {
        let room = min(input.count - 1, output.count)
        guard room > 0, let inputCount = Int32(exactly: input.count), let roomCount = Int32(exactly: room)
        else {
            return nil
        }
        // SAFETY: LZ4 reads inputCount bytes and writes at most roomCount, which both buffers have.
        let count = unsafe LZ4_compress_default(
            input.baseAddress?.assumingMemoryBound(to: CChar.self),
            output.baseAddress?.assumingMemoryBound(to: CChar.self),
            inputCount,
            roomCount
        )
        return count > 0 ? Int(count) : nil
    }

    /// Fills `output` exactly from LZ4's block or from plain bytes, as `isCoded` says.
    static func expand(
        _ input: UnsafeRawBufferPointer,
        isCoded: UInt8,
        into output: UnsafeMutableRawBufferPointer
    ) -> Bool {
        switch isCoded {
        case plain:
            guard input.count == output.count else { return false }
            unsafe output.copyMemory(from: input)
            return true
        case coded:
            guard let inputCount = Int32(exactly: input.count), let outputCount = Int32(exactly: output.count)
            else { return false }
            // SAFETY: LZ4_decompress_safe stays inside both buffers for any input.
            return unsafe LZ4_decompress_safe(
                input.baseAddress?.assumingMemoryBound(to: CChar.self),
                output.baseAddress?.assumingMemoryBound(to: CChar.self),
                inputCount,
                outputCount
            ) == outputCount
        default: return false
        }
    }
}
