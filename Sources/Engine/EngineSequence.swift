/// One sequence of tokens and its keys and values.
package final class EngineSequence {
    private let engine: Engine
    private let cache: PagedCache

    init(_ engine: Engine, cache: PagedCache) {
        self.engine = engine
        self.cache = cache
    }

    /// Tokens whose keys and values are there, imported or computed.
    package var tokenCount: Int { cache.tokenCount }

    /// Blocks that are whole.
    package var blockCount: Int { cache.tokenCount / engine.layout.tokensPerBlock }

    /// Computes the next tokens and gives the logits behind the last.
    ///
    /// - Throws: `.invalidToken` for none or one outside the vocabulary, `.contextExceeded` when they do not fit; the
    ///   sequence is then as before.
    package func append(_ tokens: some Collection<UInt32>) throws(EngineError) -> Logits {
        let tokens = Array(tokens)
        let configuration = engine.model.configuration
        guard !tokens.isEmpty else { throw EngineError(.invalidToken, "there is no token to compute") }
        guard let last = tokens.max(), last < configuration.vocabularySize else {
            throw EngineError(.invalidToken, "the vocabulary has \(configuration.vocabularySize) tokens")
        }
        try requireContext(for: tokens.count)
        try cache.reserve(tokens.count)
        var values: [Float] = []
        for start in stride(from: 0, to: tokens.count, by: ForwardPass.rowCountMax) {
            let end = min(tokens.count, start + ForwardPass.rowCountMax)
            let isLast = end == tokens.count
            if let result = engine.forwardPass.compute(tokens[start..<end], cache: cache, wantsLogits: isLast) {
                values = result
            }
        }
        return Logits(values)
    }

    /// Takes the keys and values of the next blocks from memory in the engine's layout, instead of computing them.
    ///
    /// - Parameter bytes: a whole number of blocks that follow the tokens so far; valid during the call.
    /// - Throws: `.invalidBlock` for another length or when the tokens so far do not end a block, `.contextExceeded`.
    package func importBlocks(_ bytes: UnsafeRawBufferPointer) throws(EngineError) {
        let blockCount = bytes.count / engine.layout.blockByteCount
        try requireContext(for: blockCount * engine.layout.tokensPerBlock)
        try unsafe cache.importBlocks(bytes, team: engine.team)
    }

    /// Writes the keys and values of block `index` to memory, bit for bit as another sequence may import them.
    ///
    /// - Throws: `.invalidBlock` unless the block is whole and the memory has exactly its length.
    package func exportBlock(_ index: Int, into memory: UnsafeMutableRawBufferPointer) throws(EngineError) {
        try unsafe cache.exportBlock(index, into: memory)
    }

    private func requireContext(for count: Int) throws(EngineError) {
        let contextTokenCountMax = engine.model.configuration.contextTokenCountMax
        guard count <= contextTokenCountMax - cache.tokenCount else {
            throw EngineError(
                .contextExceeded,
                "\(cache.tokenCount) and \(count) more tokens exceed the model's context of \(contextTokenCountMax)"
            )
        }
    }
}
