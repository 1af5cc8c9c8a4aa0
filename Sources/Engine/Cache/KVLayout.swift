package import Blocks

/// How the keys and values of `tokensPerBlock` tokens lie in a block's bytes.
///
/// Elements are little endian and without gaps, in the order [layer][keys, then values][token][head][element]. Keys
/// are stored after the rotary embedding, so a block belongs at its place in the sequence and nowhere else; chained
/// keys see to that.
package struct KVLayout: Hashable, Sendable {
    /// The order of the axes, as a namespace's description names it. The digit changes with the meaning of the bytes.
    package static let name = "larder-1:layer,kv,token,head,element"

    /// Decoder layers.
    package let layerCount: Int
    /// Key and value heads.
    package let headCount: Int
    /// Elements of a head.
    package let headSize: Int
    /// Tokens of a block.
    package let tokensPerBlock: Int
    /// The number format: float32, bfloat16 or float16.
    package let elementType: ElementType

    /// Throws `.invalidConfiguration` for another number format, no tokens, or a block beyond the cache's limit.
    package init(
        _ configuration: ModelConfiguration,
        tokensPerBlock: Int,
        elementType: ElementType
    ) throws(EngineError) {
        guard (1...Limits.tokensPerBlockMax).contains(tokensPerBlock) else {
            throw EngineError(.invalidConfiguration, "a block has 1 to \(Limits.tokensPerBlockMax) tokens")
        }
        guard [.float32, .bfloat16, .float16].contains(elementType) else {
            throw EngineError(.invalidConfiguration, "keys and values are float32, bfloat16 or float16")
        }
        layerCount = configuration.layerCount
        headCount = configuration.keyValueHeadCount
        headSize = configuration.headSize
        self.tokensPerBlock = tokensPerBlock
        self.elementType = elementType
        guard blockByteCount <= Limits.payloadByteCountMax else {
            throw EngineError(.invalidConfiguration, "a block of \(tokensPerBlock) tokens has \(blockByteCount) bytes")
        }
    }

    /// Bytes of one block.
    package var blockByteCount: Int { layerCount * 2 * tokensPerBlock * tokenByteCount }

    /// Bytes of the keys, or of the values, of one token in one layer.
    var tokenByteCount: Int { headCount * headSize * elementType.byteCount }

    /// Where a token's keys (or values) of a layer begin, bytes from the block's start.
    func byteOffset(layer: Int, isValue: Bool, token: Int) -> Int {
        ((layer * 2 + (isValue ? 1 : 0)) * tokensPerBlock + token) * tokenByteCount
    }
}
