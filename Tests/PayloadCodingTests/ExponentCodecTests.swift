import Blocks
import PayloadCoding
import TestSupport
import Testing

@Suite("Exponent code")
struct ExponentCodecTests {
    static let floats: [ElementType] = [.bfloat16, .float16, .float32, .float8e4m3, .float8e5m2]
    private static let variants = ExponentVariant.allCases.filter(\.isSupported)
    /// Empty, single, odd, whole and broken groups; a chunk of bytes and one more.
    private static let byteCounts = [0, 1, 2, 3, 127, 128, 255, 256, 257, 512, 4_099, 16_385]

    @Test(
        "every variant writes the reference's bytes, and reads them back",
        arguments: floats,
        TestElements.Kind.allCases
    )
    func reference(type: ElementType, kind: TestElements.Kind) throws {
        let reference = ReferenceExponentCodec(type)
        for byteCount in Self.byteCounts {
            let piece = TestElements.make(kind, type, byteCount: byteCount)
            let expected = reference.encode(piece)
            for variant in Self.variants {
                let codec = try #require(ExponentCodec(type, variant: variant))
                #expect(Lender.encode(piece, codec) == expected, "\(variant), \(byteCount) bytes")
                #expect(
                    Lender.decode(expected, piece.count, variant) == piece,
                    "\(variant), \(byteCount) bytes"
                )
            }
        }
    }

    @Test("a chunk and more goes through every variant", arguments: floats)
    func chunks(type: ElementType) throws {
        let size = type.byteCount
        let piece = TestElements.make(.normal, type, byteCount: 3 * 16_384 * size + 17 * 128 * size + 5)
        // The reference is slow: the small elements stand for all.
        var seen: Set<[UInt8]> = size == 1 ? [ReferenceExponentCodec(type).encode(piece)] : []
        for variant in Self.variants {
            let codec = try #require(ExponentCodec(type, variant: variant))
            let coded = try #require(Lender.encode(piece, codec))
            seen.insert(coded)
            #expect(Lender.decode(coded, piece.count, variant) == piece)
        }
        #expect(seen.count == 1)
    }

    @Test(
        "bell-shaped elements shrink as their exponents allow, and the estimate says so",
        arguments: [
            (ElementType.bfloat16, 1.44), (.float16, 1.13), (.float32, 1.18), (.float8e4m3, 1.13),
            (.float8e5m2, 1.3),
        ]
    )
    func ratio(type: ElementType, least: Double) throws {
        let piece = TestElements.make(.normal, type, byteCount: 200_000)
        let codec = try #require(ExponentCodec(type))
        let coded = try #require(Lender.encode(piece, codec))
        let ratio = Double(piece.count) / Double(coded.count)
        #expect(ratio >= least)
        let estimate = unsafe piece.withUnsafeBytes { unsafe codec.estimate($0) }
        #expect(abs(Double(coded.count) / Double(estimate) - 1) < 0.05)
    }

    @Test("padding does not escape, and what nothing can be won from hardly grows", arguments: floats)
    func extremes(type: ElementType) throws {
        let codec = try #require(ExponentCodec(type))
        let padded = TestElements.make(.padded, type, byteCount: 100_000)
        let normal = TestElements.make(.normal, type, byteCount: 100_000)
        let paddedCount = try #require(Lender.encode(padded, codec)?.count)
        let normalCount = try #require(Lender.encode(normal, codec)?.count)
        #expect(paddedCount < normalCount)
        let random = TestElements.make(.random, type, byteCount: 100_000)
        let randomCount = try #require(Lender.encode(random, codec)?.count)
        #expect(randomCount <= ExponentCodec.bound(random.count))
        #expect(randomCount <= random.count + 200)
        let zeros = TestElements.make(.zeros, type, byteCount: 100_000)
        #expect(try #require(Lender.encode(zeros, codec)?.count) < 600)
    }

    @Test("damaged bytes never trap nor write behind the piece", arguments: floats, variants)
    func damage(type: ElementType, variant: ExponentVariant) throws {
        var random = SeededRandom(seed: UInt64(type.rawValue))
        let codec = try #require(ExponentCodec(type, variant: variant))
        for kind in TestElements.Kind.allCases {
            let piece = TestElements.make(kind, type, byteCount: 3_000 + Int(random.next() % 9_000))
            let whole = try #require(Lender.encode(piece, codec))
            for cut in [0, 1, 15, 16, 17, 31, 32, 40, whole.count / 2, whole.count - 1]
            where cut < whole.count {
                #expect(Lender.decode(Array(whole[..<cut]), piece.count, variant) == nil)
                var mended = Array(whole[..<cut])
                guard cut >= 16 else { continue }
                // With a length that fits, so that the cut is met further in.
                for place in 0..<4 {
                    mended[8 + place] = UInt8(truncatingIfNeeded: (cut - 16) >> (8 * place))
                }
                _ = Lender.decode(mended, piece.count, variant)
            }
            for _ in 0..<60 {
                var flipped = whole
                for _ in 0...(random.next() % 4) {
                    flipped[Int(random.next() % UInt64(flipped.count))] ^= 1 << UInt8(random.next() % 8)
                }
                _ = Lender.decode(flipped, piece.count, variant)
                var noisy = Array(whole[..<17]) + random.bytes(whole.count - 17)
                noisy[16] %= 3
                _ = Lender.decode(noisy, piece.count, variant)
            }
            #expect(Lender.decode(whole, piece.count + 1, variant) == nil)
            #expect(Lender.decode(whole, 0, variant) == nil)
        }
    }

    @Test("elements that are no floats, and memory that is too small, are refused")
    func refused() throws {
        #expect(ExponentCodec(.int8) == nil)
        #expect(ExponentCodec(.unspecified) == nil)
        let codec = try #require(ExponentCodec(.bfloat16))
        let piece = TestElements.make(.normal, .bfloat16, byteCount: 1_000)
        #expect(Lender.encode(piece, codec, roomByteCount: ExponentCodec.bound(1_000) - 1) == nil)
        #expect(Lender.encode(piece, codec, scratchByteCount: ExponentCodec.scratchByteCount - 1) == nil)
    }

    @Test("the fastest variant runs here, and the portable one everywhere")
    func best() {
        #expect(ExponentVariant.best.isSupported)
        #expect(ExponentVariant.portable.isSupported)
    }
}
