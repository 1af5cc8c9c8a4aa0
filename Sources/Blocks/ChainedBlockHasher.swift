/// Names the blocks of a token sequence as vLLM does with `--prefix-caching-hash-algo sha256_cbor`.
///
/// A block's digest is SHA-256 over the CBOR array `[parent's digest, [tokens], extra keys or null]`, so it names the
/// whole prefix up to the block's end, and equal prefixes have equal names in every process. Only full blocks have
/// names. Extra keys are tagged, in this order: `["lora", name, path]`, `["mm", identifier, offset]` for each media
/// item in the block (the offset counts from the block's start and is negative when the item began before),
/// `["cache_salt", salt]` in the first block alone, `["prompt_embeds", digest]`.
///
/// ```swift
/// var hasher = try ChainedBlockHasher(tokensPerBlock: 16)
/// let prefix = hasher.append(promptTokens)     // the prompt's full blocks
/// let more = hasher.append([nextToken])        // a digest whenever a token completes a block
/// ```
public struct ChainedBlockHasher: Sendable {
    /// Tokens of each block.
    public let tokensPerBlock: Int
    /// The digest of the last full block; the chain's start before the first.
    public private(set) var lastDigest: BlockDigest
    /// Full blocks so far.
    public private(set) var blockCount = 0
    /// Tokens since the last full block, which have no name yet.
    public private(set) var openTokenCount = 0

    private let context: PromptContext
    /// The media items before this index end before the open block.
    private var mediaIndex = 0
    /// The open block's CBOR, up to its last token so far.
    private var writer = CBORWriter()

    /// Starts a chain.
    ///
    /// - Parameters:
    ///   - tokensPerBlock: 1 to `Limits.tokensPerBlockMax`.
    ///   - start: the parent of the first block; see ``BlockDigest/noneHash(seed:)``.
    ///   - context: what beside the tokens is part of the names; its media items are in order and not empty.
    /// - Throws: `.invalidArgument` when a parameter is out of its bounds.
    public init(
        tokensPerBlock: Int,
        start: BlockDigest = .noneHash,
        context: PromptContext = PromptContext()
    ) throws(CacheError) {
        guard (1...Limits.tokensPerBlockMax).contains(tokensPerBlock) else {
            throw CacheError(
                .invalidArgument,
                "tokens per block must be 1 to \(Limits.tokensPerBlockMax), not \(tokensPerBlock)"
            )
        }
        var end = 0
        for item in context.mediaItems {
            guard item.tokens.lowerBound >= end, !item.tokens.isEmpty else {
                throw CacheError(
                    .invalidArgument,
                    "media items must be in the order of their tokens, apart and not empty: \(item.tokens)"
                )
            }
            end = item.tokens.upperBound
        }
        self.tokensPerBlock = tokensPerBlock
        self.context = context
        lastDigest = start
        beginBlock()
    }

    /// Adds tokens and gives the digests of the blocks that they complete.
    public mutating func append(_ tokens: [UInt32]) -> [BlockDigest] {
        append(tokens.span)
    }

    /// Adds tokens and gives the digests of the blocks that they complete.
    public mutating func append(_ tokens: Span<UInt32>) -> [BlockDigest] {
        var digests: [BlockDigest] = []
        digests.reserveCapacity((openTokenCount + tokens.count) / tokensPerBlock)
        for index in tokens.indices {
            writer.append(unsigned: UInt64(tokens[index]))
            openTokenCount += 1
            if openTokenCount == tokensPerBlock {
                digests.append(endBlock())
            }
        }
        return digests
    }

    private mutating func beginBlock() {
        writer.removeAll()
        writer.beginArray(count: 3)
        lastDigest.append(to: &writer)
        writer.beginArray(count: tokensPerBlock)
        openTokenCount = 0
    }

    private mutating func endBlock() -> BlockDigest {
        appendExtraKeys()
        lastDigest = BlockDigest(hashing: writer.bytes)
        blockCount += 1
        beginBlock()
        return lastDigest
    }

    private mutating func appendExtraKeys() {
        let start = blockCount * tokensPerBlock
        let end = start + tokensPerBlock
        let items = context.mediaItems
        while mediaIndex < items.count, items[mediaIndex].tokens.upperBound <= start { mediaIndex += 1 }
        let mediaItems = items[mediaIndex...].prefix { $0.tokens.lowerBound < end }
        let salt = blockCount == 0 && !context.cacheSalt.isEmpty ? context.cacheSalt : nil
        let embeddings = context.embeddingDigests
        let embedding = blockCount < embeddings.count ? embeddings[blockCount] : nil

        var count = mediaItems.count
        if context.adapter != nil { count += 1 }
        if salt != nil { count += 1 }
        if embedding != nil { count += 1 }
        guard count > 0 else { return writer.appendNull() }
        writer.beginArray(count: count)
        if let adapter = context.adapter {
            writer.beginArray(count: 3)
            writer.append(text: "lora")
            writer.append(text: adapter.name)
            writer.append(text: adapter.path)
        }
        for item in mediaItems {
            writer.beginArray(count: 3)
            writer.append(text: "mm")
            writer.append(text: item.identifier)
            writer.append(integer: Int64(item.tokens.lowerBound - start))
        }
        if let salt {
            writer.beginArray(count: 2)
            writer.append(text: "cache_salt")
            writer.append(text: salt)
        }
        if let embedding {
            writer.beginArray(count: 2)
            writer.append(text: "prompt_embeds")
            embedding.append(to: &writer)
        }
    }
}
