/// What a tier's index knows of a block without reading it.
public struct BlockSummary: Hashable, Sendable {
    /// Bytes of the payload as the client gave it.
    public var payloadByteCount: Int
    /// Tokens, times, pin and number format.
    public var attributes: BlockAttributes

    /// Creates a summary.
    public init(payloadByteCount: Int, attributes: BlockAttributes) {
        self.payloadByteCount = payloadByteCount
        self.attributes = attributes
    }
}
