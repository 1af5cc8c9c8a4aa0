internal import Crypto

/// 32 bytes of SHA-256, held in place: what namespaces and chained blocks are named by.
struct Digest256: Hashable, Sendable, BitwiseCopyable {
    /// Bytes of a digest.
    static let byteCount = 32

    /// The 32 bytes as four little-endian words.
    ///
    /// Two vectors, not one of four words: values aligned to more than 16 bytes do not survive in the frames of async
    /// functions, which Swift 6.3 aligns to 16.
    private let low: SIMD2<UInt64>
    private let high: SIMD2<UInt64>

    /// Hashes `bytes`.
    init(hashing bytes: [UInt8]) {
        var hash = SHA256()
        // SAFETY: the bytes are read before the call returns.
        unsafe bytes.withUnsafeBytes { unsafe hash.update(bufferPointer: $0) }
        // SAFETY: a SHA-256 digest has 32 bytes.
        (low, high) = unsafe hash.finalize().withUnsafeBytes { unsafe Self.words(loading: $0) }
    }

    /// Takes a digest's bytes; `nil` unless there are 32.
    init?(bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        // SAFETY: there are 32 bytes.
        (low, high) = unsafe bytes.withUnsafeBytes { unsafe Self.words(loading: $0) }
    }

    /// Reads 64 hexadecimal digits of either case; `nil` for anything else.
    init?(hexadecimal text: Span<UInt8>) {
        guard text.count == 2 * Self.byteCount else { return nil }
        var words = SIMD4<UInt64>()
        for index in 0..<Self.byteCount {
            guard let high = Hexadecimal.value(of: text[2 * index]),
                let low = Hexadecimal.value(of: text[2 * index + 1])
            else {
                return nil
            }
            words[index / 8] |= UInt64(high << 4 | low) << UInt64(8 * (index % 8))
        }
        low = SIMD2(words.x, words.y)
        high = SIMD2(words.z, words.w)
    }

    /// The 32 bytes.
    var bytes: [UInt8] {
        // SAFETY: the bytes are copied before the call returns.
        unsafe withUnsafeBytes { unsafe Array($0) }
    }

    /// Lends the 32 bytes.
    func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        let littleEndian = (
            low.x.littleEndian, low.y.littleEndian, high.x.littleEndian, high.y.littleEndian
        )
        // SAFETY: four words are 32 bytes without padding; the body does not keep the pointer.
        return unsafe Swift.withUnsafeBytes(of: littleEndian, body)
    }

    /// Hashes one word: a digest is uniform.
    func hash(into hasher: inout Hasher) {
        hasher.combine(low.x)
    }

    private static func words(loading bytes: UnsafeRawBufferPointer) -> (SIMD2<UInt64>, SIMD2<UInt64>) {
        func word(_ index: Int) -> UInt64 {
            UInt64(littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self))
        }
        return (SIMD2(word(0), word(1)), SIMD2(word(2), word(3)))
    }
}
