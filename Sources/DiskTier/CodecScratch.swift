/// The memory that coding and decoding a piece needs; used by one thread at a time.
///
/// Takes memory when it is first needed: raw blocks need none.
@safe
package final class CodecScratch: @unchecked Sendable {
    // SAFETY: handed from thread to thread by a pool, never shared; each buffer belongs to this object, is made once and freed by deinit.
    private var codedBuffer: UnsafeMutableRawBufferPointer?
    private var planesBuffer: UnsafeMutableRawBufferPointer?

    /// Creates scratch memory without taking any.
    package init() {}

    deinit {
        unsafe codedBuffer?.deallocate()
        unsafe planesBuffer?.deallocate()
    }

    /// Where a coded piece goes: room for a piece that did not shrink.
    var coded: UnsafeMutableRawBufferPointer {
        unsafe Self.once(&codedBuffer, PayloadPieces.pieceByteCountMax + 64)
    }

    /// Two byte planes of a piece, one after the other.
    var planes: UnsafeMutableRawBufferPointer {
        unsafe Self.once(&planesBuffer, PayloadPieces.pieceByteCountMax)
    }

    private static func once(
        _ buffer: inout UnsafeMutableRawBufferPointer?,
        _ byteCount: Int
    ) -> UnsafeMutableRawBufferPointer {
        if let buffer = unsafe buffer { return unsafe buffer }
        let fresh = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
        unsafe buffer = fresh
        return unsafe fresh
    }
}
