package import Blocks
internal import CKVCodec

/// Lossless coding of floating-point KV: exponents by rank, signs and mantissas as they are.
///
/// Dense KV shrinks to 1 / 1.48 in bfloat16, 1 / 1.17 in float16, 1 / 1.2 in float32 and float8 e4m3. What a coded
/// piece looks like is told by kv_codec.h. Takes no memory: the caller lends it.
package struct ExponentCodec: Sendable {
    /// Bytes that coding and decoding use while they run.
    package static let scratchByteCount = Int(LARDER_KV_SCRATCH_BYTE_COUNT)
    /// Bytes before a coded piece's body; the first tells the body's form, which is 0 here.
    package static let headByteCount = Int(LARDER_KV_HEAD_BYTE_COUNT)

    /// The format of the elements.
    package let elementType: ElementType
    /// The loops that run.
    package let variant: ExponentVariant
    private let code: larder_kv_element

    /// `nil` when the elements are not floats that this codec knows, or this machine does not run the variant.
    package init?(_ elementType: ElementType, variant: ExponentVariant = .best) {
        guard variant == .best || variant.isSupported else { return nil }
        switch elementType {
        case .bfloat16: code = LARDER_KV_BFLOAT16
        case .float16: code = LARDER_KV_FLOAT16
        case .float32: code = LARDER_KV_FLOAT32
        case .float8e4m3: code = LARDER_KV_FLOAT8_E4M3
        case .float8e5m2: code = LARDER_KV_FLOAT8_E5M2
        case .unspecified, .int8: return nil
        }
        self.elementType = elementType
        self.variant = variant
    }

    /// Most bytes that a coded piece may take: a little more than the piece has.
    package static func bound(_ pieceByteCount: Int) -> Int { larder_kv_bound(pieceByteCount) }

    /// Codes a piece; gives the bytes used.
    ///
    /// `nil` when `output` has less than `bound`, `scratch` less than `scratchByteCount`, or the piece is too long.
    package func encode(
        _ piece: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer,
        scratch: UnsafeMutableRawBufferPointer
    ) -> Int? {
        guard output.count >= Self.bound(piece.count), scratch.count >= Self.scratchByteCount else {
            return nil
        }
        // SAFETY: reads the piece's bytes and writes at most its bound, checked above; the machine runs the
        // variant, as init saw.
        let count = unsafe larder_kv_encode(
            variant.code,
            code,
            piece.baseAddress?.assumingMemoryBound(to: UInt8.self),
            piece.count,
            output.baseAddress?.assumingMemoryBound(to: UInt8.self),
            scratch.baseAddress?.assumingMemoryBound(to: UInt8.self)
        )
        return count > 0 ? count : nil
    }

    /// About how many bytes coding a piece would give, from some thousand of its elements.
    package func estimate(_ piece: UnsafeRawBufferPointer) -> Int {
        // SAFETY: reads bytes of the piece.
        unsafe larder_kv_estimate(code, piece.baseAddress?.assumingMemoryBound(to: UInt8.self), piece.count)
    }

    /// Decodes a piece that any machine coded, and fills `piece` exactly.
    ///
    /// Safe for any bytes: `false` when they are not a coded piece of that length, or when this machine does not run
    /// the variant.
    package static func decode(
        _ coded: UnsafeRawBufferPointer,
        into piece: UnsafeMutableRawBufferPointer,
        scratch: UnsafeMutableRawBufferPointer,
        variant: ExponentVariant = .best
    ) -> Bool {
        guard variant == .best || variant.isSupported, scratch.count >= scratchByteCount else { return false }
        // SAFETY: whatever the bytes are, it reads only those of `coded` and writes only those of `piece`.
        return unsafe larder_kv_decode(
            variant.code,
            coded.baseAddress?.assumingMemoryBound(to: UInt8.self),
            coded.count,
            piece.baseAddress?.assumingMemoryBound(to: UInt8.self),
            piece.count,
            scratch.baseAddress?.assumingMemoryBound(to: UInt8.self)
        ) != 0
    }
}
