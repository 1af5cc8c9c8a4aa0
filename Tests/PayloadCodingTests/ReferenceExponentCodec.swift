import Blocks

/// The exponent code written down as plainly as its description in kv_codec.h; slow.
struct ReferenceExponentCodec {
    private static let groupElementCount = 128
    private static let chunkGroupCount = 128

    let elementType: ElementType
    private let byteCount: Int
    /// Bits behind the exponent in an element's top byte.
    private let looseBitCount: Int

    init(_ elementType: ElementType) {
        self.elementType = elementType
        byteCount = elementType.byteCount
        looseBitCount =
            switch elementType {
            case .float16, .float8e5m2: 3
            case .float8e4m3: 4
            default: 0
            }
    }

    func encode(_ piece: [UInt8]) -> [UInt8] {
        let groupByteCount = Self.groupElementCount * byteCount
        let wholeByteCount = piece.count / groupByteCount * groupByteCount
        var body: [UInt8] = []
        var start = 0
        while start < wholeByteCount {
            let end = min(start + Self.chunkGroupCount * groupByteCount, wholeByteCount)
            body += encodeChunk(Array(piece[start..<end]))
            start = end
        }
        body += piece[wholeByteCount...]
        var coded: [UInt8] = [0, elementType.rawValue, 0, 0]
        for count in [piece.count, body.count, 0] { coded += bytes(count, 4) }
        return coded + body
    }

    /// An element after the rotation that moves its sign to the end.
    private struct Turned {
        let exponent: UInt8
        let loose: UInt8
        /// The bytes below the top one, the lowest first.
        let low: [UInt8]
    }

    private func turned(_ element: ArraySlice<UInt8>) -> Turned {
        let bitCount = UInt64(8 * byteCount)
        let word = element.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let rotated = (word << 1 | word >> (bitCount - 1)) & ((1 << bitCount) - 1)
        let top = UInt8(rotated >> (bitCount - 8))
        return Turned(
            exponent: top >> looseBitCount,
            loose: top & ((1 << looseBitCount) - 1),
            low: (0..<(byteCount - 1)).map { UInt8(truncatingIfNeeded: rotated >> UInt64(8 * $0)) }
        )
    }

    private func encodeChunk(_ chunk: [UInt8]) -> [UInt8] {
        let elements = stride(from: 0, to: chunk.count, by: byteCount).map {
            turned(chunk[$0..<($0 + byteCount)])
        }
        let sample = sample(elements.map(\.exponent))
        let dictionary = dictionary(sample)
        let first = chunk[..<byteCount]
        if sample.allSatisfy({ $0 == sample[0] }),
            stride(from: 0, to: chunk.count, by: byteCount).allSatisfy({
                chunk[$0..<($0 + byteCount)].elementsEqual(first)
            })
        {
            return [2] + first + [UInt8](repeating: 0, count: 15 - byteCount)
        }
        let plain = [UInt8](repeating: 0, count: 16) + chunk
        let expectedBitCount = sample.reduce(0) { $0 + bitCount(of: dictionary.firstIndex(of: $1) ?? 9) }
        guard expectedBitCount < sample.count * 8 * byteCount else { return plain }
        let coded = code(elements, dictionary)
        return coded.count - 16 < chunk.count ? coded : plain
    }

    private func bitCount(of rank: Int) -> Int {
        let sureBitCount = 8 * byteCount - (8 - looseBitCount)
        return sureBitCount + 2 * (rank / 3 + 1) - (rank == 9 ? 2 : 0) + (rank == 9 ? 8 : 0)
    }

    /// Sixteen half groups, spread so that rows of a power of two do not show one column only.
    private func sample(_ exponents: [UInt8]) -> [UInt8] {
        let halfCount = exponents.count / 64
        let stretchCount = min(16, halfCount)
        let step = halfCount / stretchCount
        return (0..<stretchCount).flatMap { stretch in
            let half = stretch * halfCount / stretchCount + stretch * 5 % step
            return exponents[(half * 64)..<(half * 64 + 64)]
        }
    }

    private func dictionary(_ sample: [UInt8]) -> [UInt8] {
        let counts = sample.reduce(into: [Int](repeating: 0, count: 256)) { $0[Int($1)] += 1 }
        let order = (0..<256).sorted { (counts[$1], $0) < (counts[$0], $1) }
        return order.prefix(9).map { UInt8($0) }
    }

    private func code(_ elements: [Turned], _ dictionary: [UInt8]) -> [UInt8] {
        var fixed: [UInt8] = []
        var second = BitString()
        var third = BitString()
        var escapes: [UInt8] = []
        for start in stride(from: 0, to: elements.count, by: Self.groupElementCount) {
            let group = Array(elements[start..<(start + Self.groupElementCount)])
            let ranks = group.map { dictionary.firstIndex(of: $0.exponent) ?? 9 }
            fixed += pairs(ranks.map { UInt8(min($0, 3)) })
            fixed += looseBits(group.map(\.loose))
            fixed += rest(group.map(\.low))
            for element in Self.bitOrder where ranks[element] >= 3 {
                second.append(min(ranks[element] - 3, 3))
                guard ranks[element] >= 6 else { continue }
                third.append(ranks[element] - 6)
                if ranks[element] == 9 { escapes.append(group[element].exponent) }
            }
        }
        var chunk: [UInt8] = [1]
        chunk += dictionary
        for count in [second.bytes.count, third.bytes.count, escapes.count] { chunk += bytes(count, 2) }
        for part in [fixed, second.bytes, third.bytes, escapes] { chunk += part }
        return chunk
    }

    /// The elements of a group in the order of the bits of their first digits.
    private static let bitOrder = (0..<32).flatMap { byte in (0..<4).map { 32 * $0 + byte } }

    /// Two bits of each element: element 32 * s + b at bits 2s and 2s + 1 of byte b.
    private func pairs(_ values: [UInt8]) -> [UInt8] {
        var packed = [UInt8](repeating: 0, count: 32)
        for (element, value) in values.enumerated() {
            packed[element % 32] |= (value & 3) << UInt8(element / 32 * 2)
        }
        return packed
    }

    /// One bit of each element: element 16 * k + b at bit k of byte b.
    private func singles(_ values: [UInt8]) -> [UInt8] {
        var packed = [UInt8](repeating: 0, count: 16)
        for (element, value) in values.enumerated() {
            packed[element % 16] |= (value & 1) << UInt8(element / 16)
        }
        return packed
    }

    /// Four bits of each element: byte b of 64 has element 64 * (b / 32) + b % 32 below, and the 32nd behind it above.
    private func nibbles(_ values: [UInt8]) -> [UInt8] {
        (0..<64).map { byte in
            let below = 64 * (byte / 32) + byte % 32
            return values[below] | values[below + 32] << 4
        }
    }

    private func looseBits(_ loose: [UInt8]) -> [UInt8] {
        switch looseBitCount {
        case 3: pairs(loose) + singles(loose.map { $0 >> 2 })
        case 4: nibbles(loose)
        default: []
        }
    }

    private func rest(_ lows: [[UInt8]]) -> [UInt8] {
        switch byteCount {
        case 2: lows.map { $0[0] }
        case 4: lows.flatMap { $0[..<2] } + lows.map { $0[2] }
        default: []
        }
    }

    private func bytes(_ value: Int, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
}

/// Two bits at a time, the lowest first.
private struct BitString {
    private(set) var bytes: [UInt8] = []
    private var count = 0

    mutating func append(_ digit: Int) {
        if count % 4 == 0 { bytes.append(0) }
        bytes[bytes.count - 1] |= UInt8(digit) << (2 * (count % 4))
        count += 1
    }
}
