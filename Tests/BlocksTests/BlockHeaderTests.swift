import Blocks
import Testing

@Suite("Block header")
struct BlockHeaderTests {
    @Test("a header survives encoding, and any changed byte is noticed")
    func roundTripAndDamage() throws {
        let key = try BlockKey(Array("model@1@0@abc".utf8))
        let identity = BlockIdentity(prefix: KeyPrefix(words: SIMD2(1, 2)), key: key.span)
        let header = BlockHeader(
            identity: identity,
            keyByteCount: key.bytes.count,
            attributes: BlockAttributes(
                tokenCount: 16, elementType: .bfloat16, createdAt: 5, expiresAt: 9, pinnedUntil: 7
            ),
            payloadByteCount: 4096,
            payloadChecksum: 42
        )
        var bytes = [UInt8](repeating: 0xAA, count: BlockHeader.byteCount + key.bytes.count)
        unsafe bytes.withUnsafeMutableBytes { unsafe header.encode(key: key.span, into: $0) }
        #expect(try decode(bytes) == header)
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 0x10
            #expect(throws: CacheError.self) { try decode(damaged) }
        }
        #expect(throws: CacheError.self) { try decode(Array(bytes.prefix(140))) }
    }

    private func decode(_ bytes: [UInt8]) throws(CacheError) -> BlockHeader {
        try BlockHeader(decoding: unsafe bytes.span.bytes)
    }
}

@Suite("SipHash-2-4-128")
struct SipHash128Tests {
    @Test("the reference vectors of the designers' implementation")
    func vectors() {
        // vectors_sip128 of github.com/veorq/SipHash: key 00..0f, input 00, 00 01, ...; first three and the 15-byte one.
        let expected: [(Int, [UInt8])] = [
            (0, [0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93]),
            (1, [0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45]),
            (2, [0x81, 0x77, 0x22, 0x8d, 0xa4, 0xa4, 0x5d, 0xc7, 0xfc, 0xa3, 0x8b, 0xde, 0xf6, 0x0a, 0xff, 0xe4]),
        ]
        let key = SIMD2<UInt64>(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908)
        for (count, bytes) in expected {
            let input = (0..<count).map { UInt8($0) }
            let digest = SipHash128.hash(unsafe input.span.bytes, key: key)
            let output = (0..<16).map { index in
                UInt8(truncatingIfNeeded: (index < 8 ? digest.x : digest.y) >> UInt64(8 * (index % 8)))
            }
            #expect(output == bytes)
        }
    }
}
