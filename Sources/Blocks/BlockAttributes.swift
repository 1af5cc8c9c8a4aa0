/// What a put says of a block beside its key and payload.
public struct BlockAttributes: Hashable, Sendable {
    /// Tokens whose keys and values the block holds; 0 when the client did not say.
    public var tokenCount: UInt32
    /// The number format of the payload, from the namespace.
    public var elementType: ElementType
    /// When the block was made, milliseconds since 1970.
    public var createdAt: UInt64
    /// When the block stops being readable, milliseconds since 1970; 0 is never.
    public var expiresAt: UInt64
    /// Until when eviction must not take the block, milliseconds since 1970; 0 is not pinned, `UInt64.max` for ever.
    public var pinnedUntil: UInt64

    /// Creates attributes.
    public init(
        tokenCount: UInt32 = 0,
        elementType: ElementType = .unspecified,
        createdAt: UInt64,
        expiresAt: UInt64 = 0,
        pinnedUntil: UInt64 = 0
    ) {
        self.tokenCount = tokenCount
        self.elementType = elementType
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.pinnedUntil = pinnedUntil
    }

    /// Whether the block's time is over at `unixMilliseconds`.
    public func isExpired(at unixMilliseconds: UInt64) -> Bool {
        expiresAt != 0 && expiresAt <= unixMilliseconds
    }
}
