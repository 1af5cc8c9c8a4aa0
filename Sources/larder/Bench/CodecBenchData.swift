internal import Blocks
internal import Foundation

/// What is coded when no file is given.
enum CodecBenchKind: String, CaseIterable, Sendable {
    /// Bell-shaped values whose spread differs from channel to channel, as keys and values have.
    case kv
    /// The same, every other token zero.
    case padded
    /// Any bits.
    case random
}

/// Payloads of one element type, the same for the same seed.
struct CodecBenchData {
    private static let channelCount = 1_024
    /// What is made; longer payloads repeat it, further apart than any codec looks back.
    private static let madeByteCount = 4 << 20

    let kind: CodecBenchKind
    let elementType: ElementType

    func bytes(_ byteCount: Int, seed: UInt64) -> [UInt8] {
        var random = BenchRandom(seed: seed)
        let spreads = (0..<Self.channelCount).map { _ in exp2(0.4 * Self.bell(&random)) }
        let made = min(byteCount, Self.madeByteCount)
        let size = elementType.byteCount
        var bytes: [UInt8] = []
        bytes.reserveCapacity(byteCount + made)
        var number = 0
        while bytes.count < made {
            var bits = element(number, spreads, &random)
            for _ in 0..<size {
                bytes.append(UInt8(truncatingIfNeeded: bits))
                bits >>= 8
            }
            number += 1
        }
        while bytes.count < byteCount { bytes += bytes.prefix(made) }
        bytes.removeLast(bytes.count - byteCount)
        return bytes
    }

    private func element(_ number: Int, _ spreads: [Double], _ random: inout BenchRandom) -> UInt32 {
        let (token, channel) = number.quotientAndRemainder(dividingBy: Self.channelCount)
        switch kind {
        case .random: return UInt32(truncatingIfNeeded: random.next())
        case .padded where !token.isMultiple(of: 2): return 0
        case .kv, .padded: return bits(of: Self.bell(&random) * spreads[channel])
        }
    }

    /// A value of a normal distribution.
    private static func bell(_ random: inout BenchRandom) -> Double {
        let radius = (-2 * log(Double.random(in: .leastNormalMagnitude..<1, using: &random))).squareRoot()
        return radius * cos(2 * .pi * Double.random(in: 0..<1, using: &random))
    }

    /// The nearest element, as its bits.
    private func bits(of value: Double) -> UInt32 {
        switch elementType {
        case .bfloat16: Self.bits(of: value, exponentBitCount: 8, mantissaBitCount: 7)
        case .float16: Self.bits(of: value, exponentBitCount: 5, mantissaBitCount: 10)
        case .float8e4m3: Self.bits(of: value, exponentBitCount: 4, mantissaBitCount: 3)
        case .float8e5m2: Self.bits(of: value, exponentBitCount: 5, mantissaBitCount: 2)
        default: Float(value).bitPattern
        }
    }

    private static func bits(of value: Double, exponentBitCount: Int, mantissaBitCount: Int) -> UInt32 {
        // Exponents below the least give subnormal elements, which count the same steps.
        let least = 2 - 1 << (exponentBitCount - 1)
        let exponent = value == 0 ? least : max(Int(value.exponent), least)
        let steps = (value.magnitude / exp2(Double(exponent - mantissaBitCount))).rounded()
        let magnitude = UInt32(steps) + UInt32(exponent - least) << UInt32(mantissaBitCount)
        let sign: UInt32 = value < 0 ? 1 : 0
        return sign << UInt32(exponentBitCount + mantissaBitCount) | magnitude
    }
}
