/// What beside its tokens decides a prompt's keys and values, so that it must be part of the names of its blocks.
public struct PromptContext: Hashable, Sendable {
    /// An adapter (LoRA) that the prompt runs through.
    public struct Adapter: Hashable, Sendable {
        /// The adapter's name.
        public var name: String
        /// Where its weights come from.
        public var path: String

        /// Names an adapter.
        public init(name: String, path: String) {
            self.name = name
            self.path = path
        }
    }

    /// An image, sound or video whose placeholder tokens stand in the prompt.
    public struct MediaItem: Hashable, Sendable {
        /// The digest of its content, as the engine makes it.
        public var identifier: String
        /// The prompt's tokens that stand for it.
        public var tokens: Range<Int>

        /// Describes an item.
        public init(identifier: String, tokens: Range<Int>) {
            self.identifier = identifier
            self.tokens = tokens
        }
    }

    /// The adapter, if any.
    public var adapter: Adapter?
    /// The media items, in the order of their tokens.
    public var mediaItems: [MediaItem]
    /// Keeps the prompt's blocks apart from those with another salt; empty is none.
    public var cacheSalt: String
    /// For prompts given as embeddings: the SHA-256 digests of each block's embedding bytes, from the first block on.
    public var embeddingDigests: [BlockDigest]

    /// Describes a prompt; by default one of tokens alone.
    public init(
        adapter: Adapter? = nil,
        mediaItems: [MediaItem] = [],
        cacheSalt: String = "",
        embeddingDigests: [BlockDigest] = []
    ) {
        self.adapter = adapter
        self.mediaItems = mediaItems
        self.cacheSalt = cacheSalt
        self.embeddingDigests = embeddingDigests
    }
}
