internal import Crypto
internal import Foundation

/// A decoder's configuration and weights, read-only and shared by engines.
package final class Model: Sendable {
    /// Sizes and constants.
    package let configuration: ModelConfiguration
    /// What the weights are, in words: the directory, or the seed.
    package let name: String
    /// SHA-256 that two models share only if they compute the same function, 64 hexadecimal digits.
    package let digest: String
    let weights: ModelWeights
    let rotary: RotaryEmbedding

    /// A model whose weights are a function of `seed`: untrained, and as much work as a trained one.
    package static func seeded(
        _ seed: UInt64,
        configuration: ModelConfiguration = ModelConfiguration()
    ) throws(EngineError) -> Model {
        try configuration.validate()
        let source = SeededWeights(seed: seed, layerCount: configuration.layerCount)
        var hash = SHA256()
        hash.update(data: Data("larder seeded model 1\n\(configuration.canonicalText)\nseed=\(seed)".utf8))
        return Model(
            configuration: configuration,
            name: "seed-\(seed)",
            digest: hexadecimal(hash.finalize()),
            weights: try ModelWeights(configuration, from: source)
        )
    }

    /// A model from a directory with config.json and safetensors, as Hugging Face lays out Llama models.
    ///
    /// The digest covers every byte of the configuration and of the weights files.
    package static func load(directory: String) throws(EngineError) -> Model {
        let directory = try CheckpointDirectory(path: directory)
        return Model(
            configuration: directory.configuration,
            name: directory.name,
            digest: directory.digest,
            weights: try ModelWeights(directory.configuration, from: directory)
        )
    }

    private init(configuration: ModelConfiguration, name: String, digest: String, weights: ModelWeights) {
        self.configuration = configuration
        self.name = name
        self.digest = digest
        self.weights = weights
        rotary = RotaryEmbedding(configuration)
    }
}

/// Bytes as lower-case hexadecimal digits.
func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}
