/// The identity of one block inside a node: whose it is and which it is, in 32 bytes.
///
/// `digest` is SipHash-2-4-128 of the client's key under `prefix`, a secret the client never sees, so collisions
/// cannot be built; and every read still compares the whole key with the one stored beside the bytes.
public struct BlockIdentity: Hashable, Sendable, BitwiseCopyable {
    /// Tenant and namespace.
    public let prefix: KeyPrefix
    /// The key's keyed digest.
    public let digest: SIMD2<UInt64>

    /// Computes the identity of `key` (1 to 512 bytes) under `prefix`.
    public init(prefix: KeyPrefix, key: RawSpan) {
        self.prefix = prefix
        digest = SipHash128.hash(key, key: prefix.words)
    }

    /// Wraps stored words.
    public init(prefix: KeyPrefix, digest: SIMD2<UInt64>) {
        self.prefix = prefix
        self.digest = digest
    }

    /// A uniform 64-bit value for choosing shards and buckets: no second hash needed.
    @inlinable public var bits: UInt64 { digest.y }

    /// Equality by all 32 bytes.
    @inlinable
    public static func == (left: BlockIdentity, right: BlockIdentity) -> Bool {
        left.digest.x == right.digest.x && left.digest.y == right.digest.y && left.prefix == right.prefix
    }

    /// Hashes one word: the digest is uniform.
    @inlinable
    public func hash(into hasher: inout Hasher) {
        hasher.combine(digest.x)
    }
}
