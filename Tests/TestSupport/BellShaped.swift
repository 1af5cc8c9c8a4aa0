/// Payloads as bfloat16 KV has them: random signs and mantissas, exponents that crowd around one value.
public enum BellShaped {
    /// `byteCount` bytes, at most 8 MiB, that follow from `seed`; the exponent code takes them to about two thirds.
    public static func bytes(_ byteCount: Int, seed: UInt64) -> [UInt8] {
        // A window of one pool, stamped with the seed: fast enough for debug builds.
        let start = Int(seed &* 0x9e37_79b9 % 1_000_003) & ~1
        var bytes = Array(pool[start..<(start + byteCount)])
        for index in 0..<min(8, byteCount) {
            bytes[index] ^= UInt8(truncatingIfNeeded: seed >> UInt64(8 * index))
        }
        return bytes
    }

    private static let pool: [UInt8] = {
        var random = SeededRandom(seed: 3)
        var bytes = random.bytes(9 << 20)
        for offset in stride(from: 1, to: bytes.count, by: 2) {
            // Eight coin throws make a bell; a sign before the exponent's seven upper bits.
            bytes[offset] = bytes[offset] & 0x80 | (0x3c + UInt8(bytes[offset].nonzeroBitCount) / 2)
        }
        return bytes
    }()
}
