/// The content-derived name of one block of a token chain: SHA-256 over its parent, its tokens and what else decides
/// its keys and values.
public struct BlockDigest: Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    private let digest: Digest256

    /// Takes a digest; `nil` unless it has 32 bytes.
    public init?(bytes: [UInt8]) {
        guard let digest = Digest256(bytes: bytes) else { return nil }
        self.digest = digest
    }

    init(hashing bytes: [UInt8]) {
        digest = Digest256(hashing: bytes)
    }

    /// The parent of a first block, in every vLLM that runs without PYTHONHASHSEED.
    public static let noneHash = noneHash(seed: "vllm-none-hash")

    /// The parent of a first block in a vLLM that runs with PYTHONHASHSEED set to `seed`: SHA-256 of its CBOR text.
    public static func noneHash(seed: String) -> BlockDigest {
        var writer = CBORWriter()
        writer.append(text: seed)
        return BlockDigest(hashing: writer.bytes)
    }

    /// The 32 bytes.
    public var bytes: [UInt8] { digest.bytes }

    /// Adds the 32 bytes as a CBOR byte string.
    func append(to writer: inout CBORWriter) {
        // SAFETY: the writer copies the bytes before the call returns.
        unsafe digest.withUnsafeBytes { unsafe writer.append(bytes: $0) }
    }

    /// Adds the 32 bytes.
    func append(to bytes: inout [UInt8]) {
        // SAFETY: the array copies the bytes before the call returns.
        unsafe digest.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
    }

    /// The block key that our own client stores the block under: the 32 bytes.
    public var key: BlockKey { BlockKey(validated: bytes) }

    /// The block key of vLLM's offloading connector (`OffloadKey`), 36 bytes: the digest and, big endian, the index of
    /// the KV cache group.
    public func offloadKey(group: UInt32) -> BlockKey {
        let index = (0..<4).map { UInt8(truncatingIfNeeded: group >> UInt32(24 - 8 * $0)) }
        return BlockKey(validated: bytes + index)
    }

    /// 64 lower-case hexadecimal digits.
    public var description: String { Hexadecimal.text(of: bytes) }
}
