import Blocks
import TestSupport

/// Payloads of floats, the same for the same seed.
struct TestElements {
    enum Kind: CaseIterable, Sendable {
        /// Bell-shaped around zero, as KV is.
        case normal
        case zeros
        /// Every other run of 600 elements is zero.
        case padded
        /// One element over and over.
        case constant
        /// All values of all bits.
        case random
        /// Not a number, infinities, subnormals, both zeros, among normal ones.
        case special
        /// A fifth of the elements has any exponent.
        case escapes
        /// Every exponent as often as any other of twelve.
        case flat
    }

    static func make(_ kind: Kind, _ type: ElementType, byteCount: Int, seed: UInt64 = 1) -> [UInt8] {
        var random = SeededRandom(seed: seed)
        let size = type.byteCount
        var bytes: [UInt8] = []
        bytes.reserveCapacity(byteCount + size)
        var number = 0
        while bytes.count < byteCount {
            let bits = element(kind, type, number, &random)
            for place in 0..<size { bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(8 * place))) }
            number += 1
        }
        return Array(bytes.prefix(byteCount))
    }

    private static func element(
        _ kind: Kind,
        _ type: ElementType,
        _ number: Int,
        _ random: inout SeededRandom
    ) -> UInt32 {
        let word = random.next()
        let any = UInt32(truncatingIfNeeded: word >> 32)
        switch kind {
        case .normal: return normal(type, &random)
        case .zeros: return 0
        case .padded: return number / 600 % 2 == 0 ? normal(type, &random) : 0
        case .constant: return 0x3F9D_BE5A
        case .random: return any
        case .special:
            let specials: [Float] = [
                .nan, .infinity, -.infinity, 0, -0.0, .leastNonzeroMagnitude, Float(bitPattern: 0x8040_0000),
                6e-8, 3e38,
            ]
            return word % 8 == 0 ? bits(specials[Int(any) % specials.count], type) : normal(type, &random)
        case .escapes: return word % 5 == 0 ? any : normal(type, &random)
        case .flat: return bits(Float(sign: .plus, exponent: Int(any % 12) - 6, significand: 1.3), type)
        }
    }

    private static func normal(_ type: ElementType, _ random: inout SeededRandom) -> UInt32 {
        // The sum of three even distributions, near enough to a bell.
        let sum = (0..<3).reduce(Float(0)) { sum, _ in sum + Float(random.next() >> 40) / Float(1 << 24) }
        return bits((sum - 1.5) * 2, type)
    }

    /// The value in a format, cut off; what is too large becomes what its bits say.
    static func bits(_ value: Float, _ type: ElementType) -> UInt32 {
        let pattern = value.bitPattern
        let sign = pattern >> 31
        let exponent = Int(pattern >> 23 & 0xFF) - 127
        func narrow(_ exponentBitCount: Int, _ mantissaBitCount: Int) -> UInt32 {
            let most = (1 << exponentBitCount) - 1
            let biased = value.isNaN || value.isInfinite ? most : exponent + most / 2
            let mantissa = (pattern & 0x7F_FFFF) >> UInt32(23 - mantissaBitCount)
            let magnitude = biased < 0 ? 0 : UInt32(min(biased, most)) << UInt32(mantissaBitCount) | mantissa
            return sign << UInt32(exponentBitCount + mantissaBitCount) | magnitude
        }
        switch type {
        case .bfloat16: return pattern >> 16
        case .float16: return narrow(5, 10)
        case .float8e4m3: return narrow(4, 3)
        case .float8e5m2: return narrow(5, 2)
        default: return pattern
        }
    }
}
