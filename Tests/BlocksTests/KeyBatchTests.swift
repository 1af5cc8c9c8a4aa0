import Blocks
import Testing

@Suite("Keys")
struct KeyBatchTests {
    @Test("a key has 1 to 512 bytes", arguments: [(0, false), (1, true), (512, true), (513, false)])
    func keyLength(byteCount: Int, isAllowed: Bool) {
        let bytes = [UInt8](repeating: 0, count: byteCount)
        #expect((try? BlockKey(bytes))?.bytes == (isAllowed ? bytes : nil))
    }

    @Test("a batch gives its keys back in order, borrowed and copied")
    func order() throws {
        let keys = try ["a", "bcd", "\0", String(repeating: "x", count: 512), "a"].map {
            try BlockKey(Array($0.utf8))
        }
        let batch = KeyBatch(keys)
        #expect(batch.count == 5)
        #expect(!batch.isEmpty)
        for index in keys.indices {
            #expect(batch.bytes(at: index) == keys[index].bytes)
            #expect(borrowed(batch, index) == keys[index].bytes)
        }
    }

    @Test("a batch of digests is the batch of their keys")
    func digests() throws {
        var hasher = try ChainedBlockHasher(tokensPerBlock: 4)
        let digests = hasher.append(Array(0..<40))
        #expect(KeyBatch(digests) == KeyBatch(digests.map(\.key)))
        #expect(KeyBatch(digests).bytes(at: 9) == digests[9].bytes)
    }

    @Test("batches are equal when their keys are, not when only their bytes are")
    func equality() throws {
        let one = KeyBatch(try ["ab", "c"].map { try BlockKey(Array($0.utf8)) })
        let other = KeyBatch(try ["a", "bc"].map { try BlockKey(Array($0.utf8)) })
        #expect(one != other)
        #expect(one == KeyBatch(try ["ab", "c"].map { try BlockKey(Array($0.utf8)) }))
    }

    @Test("an emptied batch takes new keys")
    func reuse() throws {
        var batch = KeyBatch([try BlockKey([1, 2, 3])])
        batch.removeAll()
        #expect(batch.isEmpty)
        append([9], to: &batch)
        #expect(batch.count == 1)
        #expect(batch.bytes(at: 0) == [9])
    }

    private func append(_ bytes: [UInt8], to batch: inout KeyBatch) {
        batch.append(unsafe bytes.span.bytes)
    }

    private func borrowed(_ batch: KeyBatch, _ index: Int) -> [UInt8] {
        let key = batch[index]
        return key.byteOffsets.map { unsafe key.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
    }

    @Test("keys that lie in somebody else's buffer are the same keys, and may be added to")
    func sharing() throws {
        let storage = Array("$2 ab $1 c".utf8)
        var batch = KeyBatch(
            sharing: storage,
            places: [BytePlace(0, 1), BytePlace(3, 5), BytePlace(9, 10)][1...]
        )
        #expect(batch == KeyBatch(try ["ab", "c"].map { try BlockKey(Array($0.utf8)) }))
        let added = try BlockKey(Array("de".utf8))
        batch.append(added.span)
        #expect(
            (0..<batch.count).map { String(decoding: batch.bytes(at: $0), as: UTF8.self) } == [
                "ab", "c", "de",
            ]
        )
        #expect(Set([batch]).contains(KeyBatch(try ["ab", "c", "de"].map { try BlockKey(Array($0.utf8)) })))
    }
}
