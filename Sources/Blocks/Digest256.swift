internal import Crypto

/// 32 bytes of SHA-256, held in place: what namespaces and chained blocks are named by.
struct Digest256: Hashable, Sendable, BitwiseCopyable {
    /// Bytes of a digest.
    static let byteCount = 32

    /// The 32 bytes as four little-endian words.
    let words: SIMD4<UInt64>

    /// Hashes `bytes`.
    init(hashing bytes: RawSpan) {
        var hash = SHA256()
        // SAFETY: the bytes are read before the call returns.
        unsafe bytes.withUnsafeBytes { unsafe hash.update(bufferPointer: $0) }
        // SAFETY: a SHA-256 digest has 32 bytes.
        words = unsafe hash.finalize().withUnsafeBytes { digest in
            var words = SIMD4<UInt64>()
            for index in 0..<4 {
                words[index] = UInt64(
                    littleEndian: unsafe digest.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)
                )
            }
            return words
        }
    }

    /// Takes a digest's bytes; `nil` unless there are 32.
    init?(bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        var words = SIMD4<UInt64>()
        for (index, byte) in bytes.enumerated() {
            words[index / 8] |= UInt64(byte) << UInt64(8 * (index % 8))
        }
        self.words = words
    }

    /// The 32 bytes.
    var bytes: [UInt8] {
        (0..<Self.byteCount).map { UInt8(truncatingIfNeeded: words[$0 / 8] >> UInt64(8 * ($0 % 8))) }
    }

    /// Hashes one word: a digest is uniform.
    func hash(into hasher: inout Hasher) {
        hasher.combine(words.x)
    }
}
