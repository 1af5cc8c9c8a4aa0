/// SipHash-2-4 with 128-bit output, a keyed pseudo-random function for short inputs.
///
/// By Jean-Philippe Aumasson and Daniel J. Bernstein (https://www.aumasson.jp/siphash/).
package enum SipHash128 {
    /// Hashes `bytes` under a 16-byte key given as two little-endian words.
    package static func hash(_ bytes: RawSpan, key: SIMD2<UInt64>) -> SIMD2<UInt64> {
        var state = State(key: key)
        let byteCount = bytes.byteCount
        var offset = 0
        while offset &+ 8 <= byteCount {
            // SAFETY: the loop's condition leaves eight bytes from `offset` on.
            let word = unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self)
            state.absorb(UInt64(littleEndian: word))
            offset &+= 8
        }
        var last = UInt64(truncatingIfNeeded: byteCount) << 56
        var shift: UInt64 = 0
        while offset < byteCount {
            // SAFETY: the loop's condition leaves a byte at `offset`.
            last |= UInt64(unsafe bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)) << shift
            shift &+= 8
            offset &+= 1
        }
        state.absorb(last)
        return state.finish()
    }

    private struct State {
        private var v0: UInt64
        private var v1: UInt64
        private var v2: UInt64
        private var v3: UInt64

        init(key: SIMD2<UInt64>) {
            v0 = 0x736f_6d65_7073_6575 ^ key.x
            v1 = 0x646f_7261_6e64_6f6d ^ key.y ^ 0xee
            v2 = 0x6c79_6765_6e65_7261 ^ key.x
            v3 = 0x7465_6462_7974_6573 ^ key.y
        }

        mutating func absorb(_ word: UInt64) {
            v3 ^= word
            round()
            round()
            v0 ^= word
        }

        mutating func finish() -> SIMD2<UInt64> {
            v2 ^= 0xee
            for _ in 0..<4 { round() }
            let low = v0 ^ v1 ^ v2 ^ v3
            v1 ^= 0xdd
            for _ in 0..<4 { round() }
            return SIMD2(low, v0 ^ v1 ^ v2 ^ v3)
        }

        @inline(__always)
        private mutating func round() {
            v0 = v0 &+ v1
            v1 = rotate(v1, 13) ^ v0
            v0 = rotate(v0, 32)
            v2 = v2 &+ v3
            v3 = rotate(v3, 16) ^ v2
            v0 = v0 &+ v3
            v3 = rotate(v3, 21) ^ v0
            v2 = v2 &+ v1
            v1 = rotate(v1, 17) ^ v2
            v2 = rotate(v2, 32)
        }

        @inline(__always)
        private func rotate(_ value: UInt64, _ count: UInt64) -> UInt64 {
            value << count | value >> (64 &- count)
        }
    }
}
