import Blocks
import Testing

/// Expected digests were made by vLLM's own functions and by cbor2 6.2.1 with `canonical=True`.
@Suite("Chained block hasher")
struct ChainedBlockHasherTests {
    private static let sixteen = Array(UInt32(0)..<16)
    private static let plain = "dc918a88b139e5afe60b88eda27508d4aee16c10fdc354791efea06206ac0749"

    @Test("a chain starts where vLLM starts it, without and with PYTHONHASHSEED")
    func start() {
        #expect(
            BlockDigest.noneHash.description
                == "9bd96a485ad84efdafb72ee48a1d7a69bcead0f8f0433173941b276b9581eef0"
        )
        #expect(
            BlockDigest.noneHash(seed: "0").description
                == "4e1195df020de59e0d65a33a4279f1183e7ae4e5d980e309f8b55adff2e61c3e"
        )
    }

    @Test(
        "a first block has vLLM's digest",
        arguments: [
            (PromptContext(), plain),
            (
                PromptContext(cacheSalt: "tenant-a"),
                "4e31e1ced73eb044a95997f0109d0ddab3d9145878214f1a0ee37c048b397859"
            ),
            (
                PromptContext(adapter: PromptContext.Adapter(name: "ad", path: "/p/ad")),
                "ebe7506a82c8439fc373e0896bdeac553bf9569dcef619a9523dde29841fc680"
            ),
            (
                PromptContext(mediaItems: [PromptContext.MediaItem(identifier: "abc", tokens: 3..<9)]),
                "188b2f5bcd196c37e50037f493cc534eccde6753e822e6360e67ec722e53da6c"
            ),
        ]
    )
    func firstBlock(context: PromptContext, expected: String) throws {
        #expect(try digests(Self.sixteen, tokensPerBlock: 16, context: context) == [expected])
    }

    @Test("a second block's digest is chained to the first")
    func chained() throws {
        let tokens = Self.sixteen + Array(100_000..<100_016)
        #expect(
            try digests(tokens, tokensPerBlock: 16)
                == [Self.plain, "3af78d9dd56947276f407313cb8fd5426b77e0e78cf246099d36b6cb83dbc8ad"]
        )
    }

    @Test("blocks of 128 tokens have vLLM's digests, and the open block has none")
    func longBlocks() throws {
        let tokens = (0..<300).map { UInt32(($0 * 7919 + 13) % 152_064) }
        #expect(
            try digests(tokens, tokensPerBlock: 128) == [
                "3c922374e6fe67f3c64e75b88a3b8bd6185b538f7019674b72aefbf8dd8754f8",
                "2e69fa8c8aebe362593b51b8b212f1aeb45f9bb56c4258c0bf2a94f1e384e2a5",
            ]
        )
    }

    @Test("all extra keys together, media items over block borders, and tokens of every width")
    func everything() throws {
        let embeddings = [UInt8(7), 8].compactMap { BlockDigest(bytes: [UInt8](repeating: $0, count: 32)) }
        let context = PromptContext(
            adapter: PromptContext.Adapter(name: "ad", path: "/p/ad"),
            mediaItems: [
                PromptContext.MediaItem(identifier: "abc", tokens: 1..<6),
                PromptContext.MediaItem(identifier: String(repeating: "x", count: 300), tokens: 7..<9),
            ],
            cacheSalt: "é",
            embeddingDigests: embeddings
        )
        let tokens: [UInt32] = [0, 23, 24, 255, 256, 65_535, 65_536, .max, 7, 8, 9, 10]
        #expect(
            try digests(tokens, tokensPerBlock: 4, context: context) == [
                "8baac065606415f7ad8824267f5ff8b9fc9d4d736fe90cd249e35a154292258e",
                "ca08d9c3af76f25cf45faf453df38571ecac81f114256c9e668c85b37483f74e",
                "9254168ad7fb28a5df198dea03e9e3051a3f7df2fd4a739b391aa6e0d7433301",
            ]
        )
    }

    @Test("tokens added one by one give the same digests as all at once")
    func incremental() throws {
        let tokens = (0..<1_000).map { UInt32($0 * 97 % 128_000) }
        let context = PromptContext(
            adapter: PromptContext.Adapter(name: "a", path: "p"),
            mediaItems: [
                PromptContext.MediaItem(identifier: "x", tokens: 10..<100),
                PromptContext.MediaItem(identifier: "y", tokens: 100..<101),
            ],
            cacheSalt: "s"
        )
        var whole = try ChainedBlockHasher(tokensPerBlock: 16, context: context)
        let expected = whole.append(tokens)
        var stepwise = try ChainedBlockHasher(tokensPerBlock: 16, context: context)
        var given: [BlockDigest] = []
        for token in tokens { given += stepwise.append([token]) }
        #expect(given == expected)
        #expect(expected.count == 62)
        #expect(stepwise.blockCount == 62)
        #expect(stepwise.openTokenCount == 8)
        #expect(stepwise.lastDigest == expected.last)
        #expect(Set(expected).count == 62)
    }

    @Test("a change in a token changes its block and all after it, and none before")
    func prefixProperty() throws {
        let tokens = [UInt32](repeating: 5, count: 64)
        var changed = tokens
        changed[20] = 6
        let first = try digests(tokens, tokensPerBlock: 16)
        let second = try digests(changed, tokensPerBlock: 16)
        #expect(first[0] == second[0])
        for index in 1..<4 { #expect(first[index] != second[index]) }
    }

    @Test("an empty salt is no salt, as in vLLM")
    func emptySalt() throws {
        let context = PromptContext(cacheSalt: "")
        #expect(try digests(Self.sixteen, tokensPerBlock: 16, context: context) == [Self.plain])
    }

    @Test("a chain cannot have blocks of no tokens or of too many", arguments: [0, -1, 65_537])
    func blockSize(tokensPerBlock: Int) {
        #expect(throws: CacheError.self) { try ChainedBlockHasher(tokensPerBlock: tokensPerBlock) }
    }

    @Test(
        "media items must be in order, apart and not empty",
        arguments: [[4..<8, 0..<2], [0..<5, 4..<8], [3..<3], [-1..<2]]
    )
    func mediaItems(ranges: [Range<Int>]) {
        let items = ranges.map { PromptContext.MediaItem(identifier: "x", tokens: $0) }
        #expect(throws: CacheError.self) {
            try ChainedBlockHasher(tokensPerBlock: 4, context: PromptContext(mediaItems: items))
        }
    }

    @Test("a digest is a key of 32 bytes, and with its group vLLM's offload key of 36")
    func keys() throws {
        let digest = try #require(BlockDigest(bytes: Array(0..<32)))
        #expect(digest.key.bytes == Array(0..<32))
        #expect(digest.offloadKey(group: 0x0102_0304).bytes == Array(0..<32) + [1, 2, 3, 4])
        #expect(BlockDigest(bytes: Array(0..<31)) == nil)
        #expect(BlockDigest(bytes: Array(0..<33)) == nil)
    }

    private func digests(
        _ tokens: [UInt32],
        tokensPerBlock: Int,
        context: PromptContext = PromptContext()
    ) throws -> [String] {
        var hasher = try ChainedBlockHasher(tokensPerBlock: tokensPerBlock, context: context)
        return hasher.append(tokens).map(\.description)
    }
}
