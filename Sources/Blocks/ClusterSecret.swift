internal import Crypto

/// What the nodes of a cluster know and nobody else: 32 bytes or more, by which two of them prove to each other that
/// they belong together.
///
/// Never sent, and never shown. A proof is HMAC-SHA-256 over a fixed text, who proves, both names and both nonces, each
/// with its length: neither can be taken for the other's, nor be used again.
public struct ClusterSecret: Sendable {
    /// Who proves that it knows the secret.
    public enum Side: String, Sendable {
        /// The node that opened the connection.
        case caller
        /// The node that was called.
        case called
    }

    /// Bytes of a nonce and of a proof.
    public static let proofByteCount = 32
    /// Shortest and longest secret, bytes.
    public static let byteCounts = 16...4_096

    private let key: SymmetricKey
    /// Whether it is no secret: for nodes that trust whoever reaches them, on loopback.
    public let isOpen: Bool

    /// Takes the secret; throws `.invalidArgument` for one that is too short to be one.
    public init(_ bytes: [UInt8]) throws(CacheError) {
        guard Self.byteCounts.contains(bytes.count) else {
            throw CacheError(
                .invalidArgument,
                "a cluster's secret has \(Self.byteCounts.lowerBound) to \(Self.byteCounts.upperBound) bytes, not "
                    + "\(bytes.count): make one with head -c 32 /dev/urandom | base64"
            )
        }
        key = SymmetricKey(data: bytes)
        isOpen = false
    }

    /// No secret: any node may join. For loopback addresses only.
    public static let open = ClusterSecret()

    private init() {
        key = SymmetricKey(data: [UInt8](repeating: 0, count: 32))
        isOpen = true
    }

    /// A fresh nonce.
    public static func nonce() -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<proofByteCount).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    /// The proof of one side.
    public func proof(
        of side: Side,
        caller: String,
        called: String,
        callerNonce: [UInt8],
        calledNonce: [UInt8]
    ) -> [UInt8] {
        Array(code(side, caller, called, callerNonce, calledNonce))
    }

    /// Whether a proof is the side's; takes as long for a wrong one as for a right one.
    public func isProof(
        _ proof: [UInt8],
        of side: Side,
        caller: String,
        called: String,
        callerNonce: [UInt8],
        calledNonce: [UInt8]
    ) -> Bool {
        let expected = code(side, caller, called, callerNonce, calledNonce)
        guard proof.count == Self.proofByteCount else { return false }
        return zip(expected, proof).reduce(UInt8(0)) { $0 | $1.0 ^ $1.1 } == 0
    }

    private func code(
        _ side: Side,
        _ caller: String,
        _ called: String,
        _ callerNonce: [UInt8],
        _ calledNonce: [UInt8]
    ) -> HMAC<SHA256>.MAC {
        var mac = HMAC<SHA256>(key: key)
        for part in [
            Array("larder peer 1".utf8), Array(side.rawValue.utf8), Array(caller.utf8), Array(called.utf8),
            callerNonce, calledNonce,
        ] {
            let length = UInt32(clamping: part.count)
            mac.update(data: (0..<4).map { UInt8(truncatingIfNeeded: length >> (8 * UInt32($0))) } + part)
        }
        return mac.finalize()
    }
}

extension ClusterSecret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Says that there is a secret, not which.
    public var description: String { "ClusterSecret(redacted)" }
    /// Says that there is a secret, not which.
    public var debugDescription: String { description }
    /// No children.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
