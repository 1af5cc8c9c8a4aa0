/// The client's name for one block: 1 to 512 opaque bytes.
public struct BlockKey: Hashable, Sendable {
    /// The bytes.
    public let bytes: [UInt8]

    /// Takes the bytes; throws `.invalidArgument` for none or more than 512.
    public init(_ bytes: [UInt8]) throws(CacheError) {
        guard !bytes.isEmpty, bytes.count <= Limits.keyByteCountMax else {
            throw CacheError(
                .invalidArgument,
                "a key has 1 to \(Limits.keyByteCountMax) bytes, not \(bytes.count)"
            )
        }
        self.bytes = bytes
    }

    /// Takes bytes whose length is known to be right.
    init(validated bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// The key's bytes, borrowed.
    public var span: RawSpan {
        // SAFETY: bytes have no padding that could be read uninitialized.
        @_lifetime(borrow self) borrowing get { unsafe bytes.span.bytes }
    }
}
