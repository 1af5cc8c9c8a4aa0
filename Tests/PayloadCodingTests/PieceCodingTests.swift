import Blocks
import PayloadCoding
import TestSupport
import Testing

@Suite("Piece coding")
struct PieceCodingTests {
    private static let codings =
        [ElementType.bfloat16, .float16, .float32, .float8e4m3, .float8e5m2].flatMap { type in
            [false, true].map { PieceCoding(.exponent, elementType: type, addsLZ4: $0) }
        } + [PieceCoding(.lz4), PieceCoding(.lz4Planes)]

    @Test("every coding gives every payload back", arguments: codings)
    func roundTrip(coding: PieceCoding) throws {
        for payload in [
            Self.noise(70_001), Self.bell(70_000), Self.padded(70_000), [UInt8](repeating: 7, count: 9_001),
        ] {
            for byteCount in [1, 2, 255, 4_096, payload.count] {
                let piece = Array(payload.prefix(byteCount))
                let coded = try #require(Self.encode(piece, coding))
                #expect(Self.decode(coded, byteCount, coding.codec) == piece)
                #expect(Self.decode(coded, byteCount + 1, coding.codec) == nil)
                #expect(Self.decode(Array(coded.dropLast()), byteCount, coding.codec) == nil)
            }
        }
    }

    @Test("damaged pieces of an exponent code with LZ4 never trap nor write behind the piece")
    func damage() throws {
        var random = SeededRandom(seed: 5)
        let piece = Self.padded(40_000)
        let coding = PieceCoding(.exponent, elementType: .bfloat16, addsLZ4: true)
        let coded = try #require(Self.encode(piece, coding))
        #expect(coded[0] == 1)
        for round in 0..<400 {
            var damaged = coded
            if round % 4 == 0 { damaged.removeLast(Int(random.next() % UInt64(damaged.count))) }
            for _ in 0...(round % 3) where !damaged.isEmpty {
                let reach = round % 2 == 0 ? 16 : damaged.count
                damaged[Int(random.next() % UInt64(min(reach, damaged.count)))] = UInt8(random.next() & 0xFF)
            }
            _ = Self.decode(damaged, piece.count, .exponent)
        }
    }

    @Test("a half padded payload shrinks to less than half")
    func padding() throws {
        let payload = Self.padded(1 << 20)
        let coding = Self.choose(payload, .bfloat16)
        #expect(coding.codec == .exponent && coding.addsLZ4)
        let coded = try #require(Self.encode(payload, coding))
        #expect(Double(payload.count) / Double(coded.count) > 2)
    }

    @Test("the probe finds what a payload is")
    func choice() {
        let dense = PieceCoding(.exponent, elementType: .bfloat16)
        #expect(Self.choose(Self.bell(1 << 20), .bfloat16) == dense)
        #expect(Self.choose(Self.bell(1 << 20), .unspecified) == dense)
        #expect(Self.choose(Self.bell(2_000), .bfloat16) == dense)
        #expect(Self.choose(Self.bell(1 << 20), .int8) == .raw)
        for type in ElementType.allCases { #expect(Self.choose(Self.noise(1 << 20), type) == .raw) }
        #expect(Self.choose(Self.bell(255), .bfloat16) == .raw)
        let text = Array("the same words over and over again, as people write them; ".utf8).repeated(
            to: 100_000
        )
        #expect(Self.choose(text, .unspecified) == PieceCoding(.lz4))
        #expect(Self.choose(text, .bfloat16) == PieceCoding(.lz4))
        #expect(Self.choose([UInt8](repeating: 0, count: 100_000), .int8) == PieceCoding(.lz4))
    }

    /// Random bytes.
    private static func noise(_ byteCount: Int) -> [UInt8] {
        var random = SeededRandom(seed: 9)
        return random.bytes(byteCount)
    }

    /// Elements in bfloat16 with the exponents of trained networks.
    private static func bell(_ byteCount: Int) -> [UInt8] {
        var random = SeededRandom(seed: 3)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(byteCount + 2)
        while bytes.count < byteCount {
            let word = random.next()
            let exponent = UInt16(126 - min(9, (word >> 32).trailingZeroBitCount))
            let element = UInt16(truncatingIfNeeded: word) & 0x807F | exponent << 7
            bytes += [UInt8(truncatingIfNeeded: element), UInt8(element >> 8)]
        }
        return Array(bytes.prefix(byteCount))
    }

    /// Every other 1,500 bytes are zero: too few for whole chunks of zeros.
    private static func padded(_ byteCount: Int) -> [UInt8] {
        var bytes = bell(byteCount)
        for place in bytes.indices where place / 1_500 % 2 == 1 { bytes[place] = 0 }
        return bytes
    }

    private static func choose(_ payload: [UInt8], _ type: ElementType) -> PieceCoding {
        unsafe payload.withUnsafeBytes {
            unsafe CodecProbe.choose(for: $0, elementType: type, scratch: CodecScratch())
        }
    }

    private static func encode(_ piece: [UInt8], _ coding: PieceCoding) -> [UInt8]? {
        let scratch = CodecScratch()
        guard let count = unsafe piece.withUnsafeBytes({ unsafe coding.encode($0, scratch: scratch) }) else {
            return nil
        }
        return unsafe Array(scratch.coded[..<count])
    }

    private static func decode(_ coded: [UInt8], _ byteCount: Int, _ codec: PayloadCodec) -> [UInt8]? {
        var room = [UInt8](repeating: 0xA5, count: byteCount + 64)
        let isDecoded = unsafe coded.withUnsafeBytes { coded in
            unsafe room.withUnsafeMutableBytes { room in
                let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: room[..<byteCount])
                return unsafe codec.decode(coded, into: piece, scratch: CodecScratch())
            }
        }
        precondition(room[byteCount...].allSatisfy { $0 == 0xA5 }, "the decoder wrote behind its piece")
        return isDecoded ? Array(room[..<byteCount]) : nil
    }
}

extension [UInt8] {
    fileprivate func repeated(to byteCount: Int) -> [UInt8] { (0..<byteCount).map { self[$0 % count] } }
}
