/// The name of a namespace: SHA-256 of its canonical JSON description.
public struct NamespaceID: Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    private let digest: Digest256

    /// Takes a digest; `nil` unless it has 32 bytes.
    public init?(bytes: [UInt8]) {
        guard let digest = Digest256(bytes: bytes) else { return nil }
        self.digest = digest
    }

    /// Reads 64 hexadecimal digits of either case; `nil` otherwise.
    public init?(hexadecimal text: some Collection<UInt8>) {
        // SAFETY: the buffer outlives the closure, and the digest keeps nothing of it.
        let contiguous = text.withContiguousStorageIfAvailable { unsafe Digest256(hexadecimal: $0.span) }
        guard let digest = contiguous ?? Digest256(hexadecimal: Array(text.prefix(65)).span) else {
            return nil
        }
        self.digest = digest
    }

    /// The namespace of a canonical JSON description.
    init(describedBy canonicalBytes: [UInt8]) {
        digest = Digest256(hashing: canonicalBytes)
    }

    /// A namespace of the node's own, which no description can name.
    ///
    /// The name is hashed behind a zero byte, and no JSON text starts with one.
    package init(ofReservedName name: String) {
        self.init(describedBy: [0] + Array(name.utf8))
    }

    /// The 32 bytes.
    public var bytes: [UInt8] { digest.bytes }

    /// 64 lower-case hexadecimal digits.
    public var description: String { Hexadecimal.text(of: bytes) }
}
