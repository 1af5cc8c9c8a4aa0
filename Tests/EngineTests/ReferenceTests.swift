import Testing

@testable import Engine

@Suite("The decoder computes what its papers say")
struct ReferenceTests {
    @Test("logits agree with a plain decoder in double precision", arguments: [1, 2, 17, 60])
    func logits(tokenCount: Int) throws {
        try expectAgreement(TestModels.odd, TestModels.tokens(tokenCount))
    }

    @Test("with a tied output head")
    func tied() throws {
        var configuration = TestModels.odd
        configuration.tiesOutputHead = true
        try expectAgreement(configuration, TestModels.tokens(20))
    }

    @Test("with one key head for all query heads, and with one for each", arguments: [1, 6])
    func groups(keyValueHeadCount: Int) throws {
        var configuration = TestModels.odd
        configuration.keyValueHeadCount = keyValueHeadCount
        try expectAgreement(configuration, TestModels.tokens(40))
    }

    @Test(
        "with rotary embeddings scaled for long contexts",
        arguments: [
            RotaryScaling.linear(factor: 4),
            .llama3(factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, trainedTokenCount: 64),
        ]
    )
    func scaling(scaling: RotaryScaling) throws {
        var configuration = TestModels.odd
        configuration.rotaryScaling = scaling
        try expectAgreement(configuration, TestModels.tokens(50))
    }

    private func expectAgreement(_ configuration: ModelConfiguration, _ tokens: [UInt32]) throws {
        let engine = try Engine(configuration, seed: 11)
        let logits = try engine.makeSequence().append(tokens)
        let weights = SeededWeights(seed: 11, layerCount: configuration.layerCount)
        let expected = try Reference(configuration: configuration, weights: weights).logits(tokens)
        #expect(logits.values.count == expected.count)
        let largest = expected.map(abs).max() ?? 0
        #expect(largest > 0.5)
        let distance = zip(logits.values, expected).map { abs(Double($0) - $1) }.max() ?? .infinity
        #expect(distance < 2e-5 * largest)
    }
}
