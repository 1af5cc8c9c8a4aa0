/// The memory that coding and decoding a piece needs; used by one thread at a time.
///
/// Takes memory when it is first needed: raw blocks need none.
@safe
package final class CodecScratch: @unchecked Sendable {
    // SAFETY: handed from thread to thread by a pool, never shared; each buffer belongs to this object, is
    // made once and freed by deinit.
    private var codedBuffer: UnsafeMutableRawBufferPointer?
    private var planesBuffer: UnsafeMutableRawBufferPointer?
    private var stagedBuffer: UnsafeMutableRawBufferPointer?
    private var workBuffer: UnsafeMutableRawBufferPointer?

    /// The loops of the exponent code.
    package let variant: ExponentVariant

    /// Creates scratch memory without taking any.
    package init(variant: ExponentVariant = .best) { self.variant = variant }

    deinit {
        unsafe codedBuffer?.deallocate()
        unsafe planesBuffer?.deallocate()
        unsafe stagedBuffer?.deallocate()
        unsafe workBuffer?.deallocate()
    }

    /// Where a coded piece goes: room for a piece that did not shrink.
    package var coded: UnsafeMutableRawBufferPointer {
        unsafe Self.once(&codedBuffer, Self.codedByteCountMax)
    }

    /// Two byte planes of a piece, one after the other.
    var planes: UnsafeMutableRawBufferPointer {
        unsafe Self.once(&planesBuffer, PayloadPieces.pieceByteCountMax)
    }

    /// A coded piece on its way through a second stage.
    var staged: UnsafeMutableRawBufferPointer { unsafe Self.once(&stagedBuffer, Self.codedByteCountMax) }

    /// What the exponent code works with.
    var work: UnsafeMutableRawBufferPointer { unsafe Self.once(&workBuffer, ExponentCodec.scratchByteCount) }

    private static let codedByteCountMax = ExponentCodec.bound(PayloadPieces.pieceByteCountMax) + 64

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
