package import Crypto

/// The node's own secret, 32 bytes, kept in its data directory; it keys every prefix. Never printed, never sent.
public struct NodeSecret: Sendable {
    package let key: SymmetricKey

    /// Bytes of a secret.
    public static let byteCount = 32

    /// Takes stored bytes; throws `.invalidArgument` unless there are exactly 32.
    public init(bytes: [UInt8]) throws(CacheError) {
        guard bytes.count == Self.byteCount else {
            throw CacheError(.invalidArgument, "a node secret has \(Self.byteCount) bytes, not \(bytes.count)")
        }
        key = SymmetricKey(data: bytes)
    }

    /// A fresh random secret.
    public static func random() -> NodeSecret {
        NodeSecret(key: SymmetricKey(size: .bits256))
    }

    private init(key: SymmetricKey) {
        self.key = key
    }

    /// The 32 bytes, to be written to the secret's file and nowhere else.
    public var bytes: [UInt8] { unsafe key.withUnsafeBytes { unsafe Array($0) } }
}
