internal import Crypto

/// The internal prefix of every key of one tenant and namespace: 16 bytes of HMAC-SHA-256 under the node's secret.
///
/// Two tenants, or two namespaces, never share a prefix, and a client cannot compute one: it never meets the secret.
public struct KeyPrefix: Hashable, Sendable, BitwiseCopyable {
    /// The 16 bytes as two little-endian words.
    public let words: SIMD2<UInt64>

    /// Wraps stored words.
    public init(words: SIMD2<UInt64>) {
        self.words = words
    }

    /// Derives the prefix: the first 16 bytes of
    /// HMAC-SHA-256(secret, "larder key prefix 1" 00 tenant-length(u8) tenant namespace(32)).
    public init(secret: NodeSecret, tenant: Tenant, namespace: NamespaceID) {
        var mac = HMAC<SHA256>(key: secret.key)
        let name = Array(tenant.name.utf8)
        mac.update(data: Array("larder key prefix 1".utf8) + [0, UInt8(truncatingIfNeeded: name.count)])
        mac.update(data: name)
        mac.update(data: namespace.bytes)
        var low: UInt64 = 0
        var high: UInt64 = 0
        for (index, byte) in mac.finalize().enumerated() where index < 16 {
            if index < 8 {
                low |= UInt64(byte) << UInt64(8 * index)
            } else {
                high |= UInt64(byte) << UInt64(8 * (index - 8))
            }
        }
        words = SIMD2(low, high)
    }

    /// Equality by words.
    @inlinable
    public static func == (left: KeyPrefix, right: KeyPrefix) -> Bool {
        left.words.x == right.words.x && left.words.y == right.words.y
    }

    /// Hashes one word: the prefix is uniform.
    @inlinable
    public func hash(into hasher: inout Hasher) {
        hasher.combine(words.x)
    }
}
