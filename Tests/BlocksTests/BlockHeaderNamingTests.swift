import Blocks
import Testing

@Suite("Block header naming")
struct BlockHeaderNamingTests {
    @Test("a header names its own identity and whole key and nothing else", arguments: [1, 7, 8, 36, 512])
    func naming(keyByteCount: Int) throws {
        let key = (0..<keyByteCount).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 1) }
        let identity = BlockIdentity(prefix: KeyPrefix(words: SIMD2(1, 2)), key: unsafe key.span.bytes)
        let header = BlockHeader(
            identity: identity,
            keyByteCount: keyByteCount,
            attributes: BlockAttributes(createdAt: 5),
            payloadByteCount: 10,
            payloadChecksum: 3
        )
        var bytes = [UInt8](repeating: 0, count: BlockHeader.byteCount + keyByteCount)
        unsafe bytes.withUnsafeMutableBytes { unsafe header.encode(key: key.span.bytes, into: $0) }
        #expect(names(identity, key, in: bytes))
        #expect(!names(identity, key + [0], in: bytes + [0]))
        #expect(!names(identity, Array(key.dropLast()), in: bytes))
        #expect(!names(identity, key, in: Array(bytes.dropLast())))
        for index in key.indices {
            var other = key
            other[index] ^= 1
            #expect(!names(identity, other, in: bytes))
        }
        let stranger = BlockIdentity(prefix: KeyPrefix(words: SIMD2(1, 3)), digest: identity.digest)
        #expect(!names(stranger, key, in: bytes))
        let neighbour = BlockIdentity(prefix: identity.prefix, digest: identity.digest &+ 1)
        #expect(!names(neighbour, key, in: bytes))
    }

    private func names(_ identity: BlockIdentity, _ key: [UInt8], in bytes: [UInt8]) -> Bool {
        unsafe bytes.withUnsafeBytes { unsafe BlockHeader.names(identity, key: key.span.bytes, in: $0) }
    }
}
