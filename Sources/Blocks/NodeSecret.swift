internal import Crypto

/// The node's own secret, 32 bytes, kept in its data directory; it keys every prefix.
///
/// Never sent, and never shown: printing, debugging and reflecting a secret say "redacted".
public struct NodeSecret: Sendable {
    let key: SymmetricKey

    /// Bytes of a secret.
    public static let byteCount = 32

    /// Takes stored bytes; throws `.invalidArgument` unless there are exactly 32.
    public init(bytes: [UInt8]) throws(CacheError) {
        guard bytes.count == Self.byteCount else {
            throw CacheError(
                .invalidArgument,
                "a node secret has \(Self.byteCount) bytes, not \(bytes.count)"
            )
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

    /// Tells this secret from others without telling anything of it: 16 bytes of HMAC-SHA-256 of a fixed text.
    package var fingerprint: SIMD2<UInt64> {
        var words = SIMD2<UInt64>(0, 0)
        let code = HMAC<SHA256>.authenticationCode(for: Array("larder secret fingerprint 1".utf8), using: key)
        for (index, byte) in code.enumerated() where index < 16 {
            words[index / 8] |= UInt64(byte) << UInt64(8 * (index % 8))
        }
        return words
    }

    /// The 32 bytes, to be written to the secret's file and nowhere else.
    package var bytes: [UInt8] {
        // SAFETY: the bytes are copied before the call returns.
        unsafe key.withUnsafeBytes { unsafe Array($0) }
    }
}

extension NodeSecret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Says that there is a secret, not which.
    public var description: String { "NodeSecret(redacted)" }
    /// Says that there is a secret, not which.
    public var debugDescription: String { description }
    /// No children.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
