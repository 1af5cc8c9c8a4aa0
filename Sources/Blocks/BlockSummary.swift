/// What a tier's index knows of a block without reading it.
public struct BlockSummary: Hashable, Sendable {
    /// Bytes of the payload as the client gave it.
    public var payloadByteCount: Int
    /// XXH3 of those bytes.
    public var payloadChecksum: UInt64
    /// Tokens, times, pin and number format.
    public var attributes: BlockAttributes

    /// Creates a summary.
    public init(payloadByteCount: Int, payloadChecksum: UInt64 = 0, attributes: BlockAttributes) {
        self.payloadByteCount = payloadByteCount
        self.payloadChecksum = payloadChecksum
        self.attributes = attributes
    }
}
