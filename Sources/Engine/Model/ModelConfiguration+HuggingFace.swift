internal import Foundation

extension ModelConfiguration {
    /// Reads a config.json of Hugging Face's Llama family; throws `.invalidConfiguration` for what this engine
    /// would compute wrongly.
    package init(huggingFace json: some Sequence<UInt8>) throws(EngineError) {
        let file: ConfigurationFile
        do {
            file = try JSONDecoder().decode(ConfigurationFile.self, from: Data(json))
        } catch {
            throw EngineError(.invalidConfiguration, "config.json is not a Llama configuration: \(error)")
        }
        try file.requireSupported()
        self.init()
        layerCount = file.num_hidden_layers
        hiddenSize = file.hidden_size
        queryHeadCount = file.num_attention_heads
        keyValueHeadCount = file.num_key_value_heads ?? file.num_attention_heads
        guard queryHeadCount > 0 else { throw EngineError(.invalidConfiguration, "there are no attention heads") }
        headSize = file.head_dim ?? hiddenSize / queryHeadCount
        feedForwardSize = file.intermediate_size
        vocabularySize = file.vocab_size
        contextTokenCountMax = file.max_position_embeddings ?? 2_048
        rotaryBase = file.rope_parameters?.rope_theta ?? file.rope_theta ?? 10_000
        rotaryScaling = try (file.rope_parameters ?? file.rope_scaling)?.scaling() ?? .none
        normalizationEpsilon = Float(file.rms_norm_eps ?? 1e-6)
        tiesOutputHead = file.tie_word_embeddings ?? false
        beginToken = file.bos_token_id?.tokens.first
        endTokens = Set(file.eos_token_id?.tokens ?? [])
        try validate()
    }
}

/// The fields of config.json that matter here, by their own names.
private struct ConfigurationFile: Decodable {
    let model_type: String?
    let num_hidden_layers: Int
    let hidden_size: Int
    let num_attention_heads: Int
    let num_key_value_heads: Int?
    let head_dim: Int?
    let intermediate_size: Int
    let vocab_size: Int
    let max_position_embeddings: Int?
    let rope_theta: Double?
    let rope_scaling: Rotary?
    let rope_parameters: Rotary?
    let rms_norm_eps: Double?
    let tie_word_embeddings: Bool?
    let hidden_act: String?
    let attention_bias: Bool?
    let mlp_bias: Bool?
    let bos_token_id: TokenList?
    let eos_token_id: TokenList?

    func requireSupported() throws(EngineError) {
        guard model_type == nil || model_type == "llama" else {
            throw EngineError(.invalidConfiguration, "this engine computes Llama models, not \(model_type ?? "")")
        }
        guard hidden_act == nil || hidden_act == "silu" || hidden_act == "swish" else {
            throw EngineError(.invalidConfiguration, "hidden_act \(hidden_act ?? "") is not SiLU")
        }
        guard attention_bias != true, mlp_bias != true else {
            throw EngineError(.invalidConfiguration, "layers with biases are not supported")
        }
    }

    struct Rotary: Decodable {
        let rope_type: String?
        let type: String?
        let rope_theta: Double?
        let factor: Double?
        let low_freq_factor: Double?
        let high_freq_factor: Double?
        let original_max_position_embeddings: Double?

        func scaling() throws(EngineError) -> RotaryScaling {
            switch (rope_type ?? type ?? "default", factor) {
            case ("default", _): return .none
            case ("linear", .some(let factor)): return .linear(factor: factor)
            case ("llama3", .some(let factor)):
                guard let low_freq_factor, let high_freq_factor, let original_max_position_embeddings else { break }
                return .llama3(
                    factor: factor,
                    lowFrequencyFactor: low_freq_factor,
                    highFrequencyFactor: high_freq_factor,
                    trainedTokenCount: original_max_position_embeddings
                )
            default: break
            }
            throw EngineError(.invalidConfiguration, "rotary scaling \(rope_type ?? type ?? "") is not supported")
        }
    }

    /// One token or several.
    struct TokenList: Decodable {
        let tokens: [UInt32]

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let token = try? container.decode(UInt32.self) {
                tokens = [token]
            } else {
                tokens = try container.decode([UInt32].self)
            }
        }
    }
}
