import Blocks
import Foundation

@testable import Engine

/// Writes checkpoints as Hugging Face lays them out.
enum CheckpointFiles {
    /// A tensor to be written.
    struct Tensor {
        var name: String
        var shape: [Int]
        var elements: [Float]
    }

    /// The bytes of a safetensors file.
    static func safetensors(_ tensors: [Tensor], _ format: ElementType = .float32) -> [UInt8] {
        let formatName = [ElementType.float32: "F32", .float16: "F16", .bfloat16: "BF16"][format] ?? ""
        var entries: [String] = [#""__metadata__":{"format":"pt"}"#]
        var data: [UInt8] = []
        for tensor in tensors {
            let start = data.count
            for element in tensor.elements { append(element, format, to: &data) }
            let shape = tensor.shape.map(String.init).joined(separator: ",")
            let range = "[\(start),\(data.count)]"
            entries.append(#""\#(tensor.name)":{"dtype":"\#(formatName)","shape":[\#(shape)],"data_offsets":\#(range)}"#)
        }
        return file(header: "{\(entries.joined(separator: ","))}", data: data)
    }

    /// A file with any header and data.
    static func file(header: String, data: [UInt8]) -> [UInt8] {
        let length = UInt64(header.utf8.count)
        return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * UInt64($0))) } + Array(header.utf8) + data
    }

    /// All tensors of a seeded model.
    static func tensors(_ configuration: ModelConfiguration, seed: UInt64) throws -> [Tensor] {
        let source = SeededWeights(seed: seed, layerCount: configuration.layerCount)
        let (hidden, feedForward) = (configuration.hiddenSize, configuration.feedForwardSize)
        let (query, keyValue) = (configuration.querySize, configuration.keyValueSize)
        var shapes: [(String, [Int])] = [
            ("model.embed_tokens.weight", [configuration.vocabularySize, hidden]), ("model.norm.weight", [hidden]),
            ("lm_head.weight", [configuration.vocabularySize, hidden]),
        ]
        for layer in 0..<configuration.layerCount {
            let prefix = "model.layers.\(layer)."
            shapes += [
                ("\(prefix)input_layernorm.weight", [hidden]), ("\(prefix)post_attention_layernorm.weight", [hidden]),
                ("\(prefix)self_attn.q_proj.weight", [query, hidden]),
                ("\(prefix)self_attn.k_proj.weight", [keyValue, hidden]),
                ("\(prefix)self_attn.v_proj.weight", [keyValue, hidden]),
                ("\(prefix)self_attn.o_proj.weight", [hidden, query]),
                ("\(prefix)mlp.gate_proj.weight", [feedForward, hidden]),
                ("\(prefix)mlp.up_proj.weight", [feedForward, hidden]),
                ("\(prefix)mlp.down_proj.weight", [hidden, feedForward]),
            ]
        }
        return try shapes.map { name, shape in
            var elements: [Float] = []
            let (rowCount, columnCount) = shape.count == 1 ? (1, shape[0]) : (shape[0], shape[1])
            try source.read(name, rowCount: rowCount, columnCount: columnCount) { _, element in
                elements += (0..<columnCount).map(element)
            }
            return Tensor(name: name, shape: shape, elements: elements)
        }
    }

    /// A config.json for a configuration; `fields` go before the others, and the first of two wins.
    static func configurationJSON(_ configuration: ModelConfiguration, adding fields: String = "") -> String {
        """
        {\(fields)"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_act":"silu","attention_bias":false,
        "num_hidden_layers":\(configuration.layerCount),"hidden_size":\(configuration.hiddenSize),
        "num_attention_heads":\(configuration.queryHeadCount),"head_dim":\(configuration.headSize),
        "num_key_value_heads":\(configuration.keyValueHeadCount),"vocab_size":\(configuration.vocabularySize),
        "intermediate_size":\(configuration.feedForwardSize),"rms_norm_eps":1e-05,"rope_theta":10000.0,
        "max_position_embeddings":\(configuration.contextTokenCountMax),"rope_scaling":null,
        "bos_token_id":256,"eos_token_id":[257,258],"torch_dtype":"float32"}
        """
    }

    /// Puts files into a directory.
    static func write(_ files: [String: [UInt8]], to directory: String) throws {
        for (name, bytes) in files { try Data(bytes).write(to: URL(filePath: directory).appending(path: name)) }
    }

    private static func append(_ element: Float, _ format: ElementType, to data: inout [UInt8]) {
        if format == .float32 {
            data += (0..<4).map { UInt8(truncatingIfNeeded: element.bitPattern >> (8 * UInt32($0))) }
        } else {
            let bits = format == .float16 ? element.halfBits : element.brainBits
            data += [UInt8(truncatingIfNeeded: bits), UInt8(truncatingIfNeeded: bits >> 8)]
        }
    }
}
