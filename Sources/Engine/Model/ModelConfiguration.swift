/// The sizes and constants of a Llama-style decoder.
package struct ModelConfiguration: Hashable, Sendable {
    /// Decoder layers.
    package var layerCount = 8
    /// Width of the residual stream, elements.
    package var hiddenSize = 512
    /// Heads that ask.
    package var queryHeadCount = 8
    /// Heads that are asked; each serves `queryHeadCount / keyValueHeadCount` query heads.
    package var keyValueHeadCount = 4
    /// Width of one head, elements.
    package var headSize = 64
    /// Width of the gated layer, elements.
    package var feedForwardSize = 1_376
    /// Tokens in the vocabulary; the default is the bytes and three special tokens.
    package var vocabularySize = 259
    /// The longest sequence, tokens.
    package var contextTokenCountMax = 16_384
    /// The base of the rotary embedding's wavelengths.
    package var rotaryBase = 10_000.0
    /// How wavelengths are stretched for long contexts.
    package var rotaryScaling = RotaryScaling.none
    /// What is added to the mean of squares before its root is taken.
    package var normalizationEpsilon: Float = 1e-5
    /// Whether the output head is the embedding.
    package var tiesOutputHead = false
    /// The token before a text; `nil`: none.
    package var beginToken: UInt32? = 256
    /// The tokens that end a text.
    package var endTokens: Set<UInt32> = [257]

    /// The reference model's sizes: 24 million weights.
    package init() {}

    /// Width of all query heads of a token, elements.
    var querySize: Int { queryHeadCount * headSize }
    /// Width of all key (or value) heads of a token, elements.
    var keyValueSize: Int { keyValueHeadCount * headSize }
    /// Query heads that share a key and value head.
    var groupSize: Int { queryHeadCount / keyValueHeadCount }

    /// Throws `.invalidConfiguration` unless the sizes make a decoder within the engine's bounds.
    package func validate() throws(EngineError) {
        let sizes: [(name: String, value: Int, range: ClosedRange<Int>)] = [
            ("layers", layerCount, 1...1_024),
            ("hidden size", hiddenSize, 1...65_536),
            ("query heads", queryHeadCount, 1...1_024),
            ("key and value heads", keyValueHeadCount, 1...1_024),
            ("head size", headSize, 2...1_024),
            ("feed-forward size", feedForwardSize, 1...1_048_576),
            ("vocabulary", vocabularySize, 1...4_194_304),
            ("context", contextTokenCountMax, 1...16_777_216),
        ]
        for size in sizes where !size.range.contains(size.value) {
            throw EngineError(.invalidConfiguration, "\(size.name) is \(size.value), not in \(size.range)")
        }
        guard queryHeadCount.isMultiple(of: keyValueHeadCount) else {
            throw EngineError(
                .invalidConfiguration,
                "\(queryHeadCount) query heads do not share \(keyValueHeadCount) key heads evenly"
            )
        }
        guard headSize.isMultiple(of: 2) else {
            throw EngineError(.invalidConfiguration, "head size \(headSize) is odd; rotary embedding turns pairs")
        }
        guard normalizationEpsilon.isFinite, normalizationEpsilon >= 0 else {
            throw EngineError(.invalidConfiguration, "the normalization epsilon is not a small positive number")
        }
        guard rotaryBase.isFinite, rotaryBase > 0 else {
            throw EngineError(.invalidConfiguration, "the rotary base is not a positive number")
        }
        try rotaryScaling.validate()
        for token in endTokens.union(beginToken.map { [$0] } ?? []) where !(0..<vocabularySize).contains(Int(token)) {
            throw EngineError(.invalidConfiguration, "special token \(token) is outside the vocabulary")
        }
    }

    /// Every field in a fixed order, to be hashed.
    var canonicalText: String {
        """
        layers=\(layerCount) hidden=\(hiddenSize) heads=\(queryHeadCount)/\(keyValueHeadCount)x\(headSize) \
        feedForward=\(feedForwardSize) vocabulary=\(vocabularySize) context=\(contextTokenCountMax) \
        rotary=\(rotaryBase) \(rotaryScaling) epsilon=\(normalizationEpsilon) tied=\(tiesOutputHead) \
        begin=\(beginToken.map(String.init) ?? "none") end=\(endTokens.sorted())
        """
    }
}
