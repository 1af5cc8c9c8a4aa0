import Blocks
import Testing

@Suite("Block identity")
struct BlockIdentityTests {
    @Test("the same key under the same prefix has the same identity")
    func same() throws {
        #expect(try identity("key", prefix: 1) == identity("key", prefix: 1))
        #expect(try identity("key", prefix: 1).hashValue == identity("key", prefix: 1).hashValue)
    }

    @Test("identities differ with the key and with the prefix, in both halves of the digest")
    func different() throws {
        let one = try identity("key", prefix: 1)
        for other in try [
            identity("kez", prefix: 1), identity("key\0", prefix: 1), identity("key", prefix: 2),
        ] {
            #expect(other != one)
            #expect(other.digest.x != one.digest.x)
            #expect(other.bits != one.bits)
        }
    }

    @Test("identities that differ in one word alone are different")
    func words() {
        let words: [UInt64] = [1, 2, 3, 4]
        let identities = (0..<5).map { changed in
            let changedWords = words.enumerated().map { $0.offset == changed ? $0.element + 10 : $0.element }
            return BlockIdentity(
                prefix: KeyPrefix(words: SIMD2(changedWords[0], changedWords[1])),
                digest: SIMD2(changedWords[2], changedWords[3])
            )
        }
        #expect(Set(identities).count == 5)
    }

    @Test("the bits that choose shards are spread evenly")
    func spread() throws {
        var counts = [Int](repeating: 0, count: 64)
        for index in 0..<6_400 {
            counts[Int(try identity("block \(index)", prefix: 9).bits % 64)] += 1
        }
        // 100 are expected; five standard deviations are 50.
        for count in counts { #expect((50...150).contains(count)) }
    }

    private func identity(_ key: String, prefix: UInt64) throws -> BlockIdentity {
        let key = try BlockKey(Array(key.utf8))
        return BlockIdentity(prefix: KeyPrefix(words: SIMD2(prefix, 7)), key: key.span)
    }
}
