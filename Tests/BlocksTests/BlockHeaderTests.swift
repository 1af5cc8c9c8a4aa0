import Blocks
import TestSupport
import Testing

@Suite("Block header")
struct BlockHeaderTests {
    @Test(
        "a header survives encoding, and any changed bit is noticed",
        arguments: ["model@1@0@abc", "k", String(repeating: "x", count: 512)]
    )
    func roundTripAndDamage(keyText: String) throws {
        let key = try BlockKey(Array(keyText.utf8))
        let header = header(of: key)
        let bytes = encode(header, key)
        #expect(try decode(bytes) == header)
        #expect(try decode(bytes + [1, 2, 3]) == header)
        for index in bytes.indices {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[index] ^= 1 << UInt8(bit)
                expectCorrupt(damaged)
            }
        }
        for count in [0, 1, 127, 128, bytes.count - 1] { expectCorrupt(Array(bytes.prefix(count))) }
    }

    @Test("a coded payload keeps both lengths and both checksums")
    func coded() throws {
        let key = try BlockKey([1])
        var header = header(of: key)
        header.codec = .lz4Planes
        header.storedByteCount = 3000
        header.storedChecksum = 43
        let decoded = try decode(encode(header, key))
        #expect(decoded == header)
        #expect(decoded.payloadByteCount == 4096)
        #expect(decoded.storedByteCount == 3000)
    }

    @Test("the layout on disk stays as it is documented")
    func layout() throws {
        let key = try BlockKey([0xEE])
        let bytes = encode(header(of: key), key)
        #expect(Array(bytes[0..<16]) == Array("LRDB".utf8) + [1, 0, 1, 0, 1, 0, 0, 0, 16, 0, 0, 0])
        #expect(Array(bytes[16..<24]) == [0, 16, 0, 0, 0, 0, 0, 0])
        #expect(bytes[32] == 5)
        #expect(bytes[40] == 9)
        #expect(bytes[48] == 1)
        #expect(bytes[56] == 2)
        #expect(bytes[80] == 42)
        #expect(bytes[88] == 42)
        #expect(bytes[96] == 7)
        #expect(Array(bytes[104..<120]) == [UInt8](repeating: 0, count: 16))
        #expect(bytes[128] == 0xEE)
    }

    @Test("lengths out of bounds are refused, though the checksum is right")
    func bounds() throws {
        let key = try BlockKey([1])
        for byteCount in [0, Limits.payloadByteCountMax + 1] {
            var payload = header(of: key)
            payload.payloadByteCount = byteCount
            payload.storedByteCount = byteCount
            expectCorrupt(encode(payload, key))
            var stored = header(of: key)
            stored.codec = .lz4
            stored.storedByteCount = byteCount
            expectCorrupt(encode(stored, key))
        }
        var raw = header(of: key)
        raw.storedByteCount -= 1
        expectCorrupt(encode(raw, key))
        var largest = header(of: key)
        largest.payloadByteCount = Limits.payloadByteCountMax
        largest.storedByteCount = Limits.payloadByteCountMax
        #expect(try decode(encode(largest, key)) == largest)
    }

    @Test("random bytes are no header")
    func randomBytes() {
        var random = SeededRandom(seed: 1)
        for _ in 0..<2_000 {
            var bytes = random.bytes(Int.random(in: 0...700, using: &random))
            expectCorrupt(bytes)
            for (index, byte) in (Array("LRDB".utf8) + [1, 0, 1, 0, 1, 0]).enumerated()
            where index < bytes.count {
                bytes[index] = byte
            }
            expectCorrupt(bytes)
        }
    }

    private func header(of key: BlockKey) -> BlockHeader {
        BlockHeader(
            identity: BlockIdentity(prefix: KeyPrefix(words: SIMD2(1, 2)), key: key.span),
            keyByteCount: key.bytes.count,
            attributes: BlockAttributes(
                tokenCount: 16,
                elementType: .bfloat16,
                createdAt: 5,
                expiresAt: 9,
                pinnedUntil: 7
            ),
            payloadByteCount: 4096,
            payloadChecksum: 42
        )
    }

    private func encode(_ header: BlockHeader, _ key: BlockKey) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xAA, count: BlockHeader.byteCount + key.bytes.count)
        unsafe bytes.withUnsafeMutableBytes { unsafe header.encode(key: key.span, into: $0) }
        return bytes
    }

    private func decode(_ bytes: [UInt8]) throws(CacheError) -> BlockHeader {
        try BlockHeader(decoding: unsafe bytes.span.bytes)
    }

    private func expectCorrupt(_ bytes: [UInt8], sourceLocation: SourceLocation = #_sourceLocation) {
        var code: CacheError.Code?
        do throws(CacheError) { _ = try decode(bytes) } catch { code = error.code }
        #expect(code == .corruptBlock, sourceLocation: sourceLocation)
    }
}
