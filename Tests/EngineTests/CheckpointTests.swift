import Blocks
import TestSupport
import Testing

@testable import Engine

@Suite("A checkpoint directory")
struct CheckpointTests {
    private static let tokens = TestModels.tokens(30)

    @Test("in float32 computes the same bits as the weights that were written")
    func sameBits() throws {
        let tensors = try CheckpointFiles.tensors(TestModels.odd, seed: 7)
        let model = try Self.load(["model.safetensors": CheckpointFiles.safetensors(tensors)])
        let expected = try Engine(TestModels.odd, seed: 7).makeSequence().append(Self.tokens)
        #expect(try Engine(model: model).makeSequence().append(Self.tokens) == expected)
        #expect(model.configuration.beginToken == 256)
        #expect(model.configuration.endTokens == [257, 258])
    }

    @Test("in narrow floats computes with the rounded weights", arguments: [ElementType.float16, .bfloat16])
    func narrow(format: ElementType) throws {
        let tensors = try CheckpointFiles.tensors(TestModels.odd, seed: 7)
        let rounded = tensors.map { tensor in
            var tensor = tensor
            tensor.elements = tensor.elements.map {
                format == .float16 ? Float(halfBits: $0.halfBits) : Float(brainBits: $0.brainBits)
            }
            return tensor
        }
        let model = try Self.load(["model.safetensors": CheckpointFiles.safetensors(tensors, format)])
        let wide = try Self.load(["model.safetensors": CheckpointFiles.safetensors(rounded)])
        let expected = try Engine(model: wide).makeSequence().append(Self.tokens)
        #expect(try Engine(model: model).makeSequence().append(Self.tokens) == expected)
        #expect(model.digest != wide.digest)
    }

    @Test("in several files behind an index computes the same bits as in one")
    func shards() throws {
        let tensors = try CheckpointFiles.tensors(TestModels.odd, seed: 7)
        let (first, second) = (Array(tensors.prefix(9)), Array(tensors.dropFirst(9)))
        let map = (first.map { "\"\($0.name)\":\"a.safetensors\"" } + second.map { "\"\($0.name)\":\"b.safetensors\"" })
            .joined(separator: ",")
        let model = try Self.load([
            "model.safetensors.index.json": Array("{\"metadata\":{\"total_size\":1},\"weight_map\":{\(map)}}".utf8),
            "a.safetensors": CheckpointFiles.safetensors(first), "b.safetensors": CheckpointFiles.safetensors(second),
        ])
        let expected = try Engine(TestModels.odd, seed: 7).makeSequence().append(Self.tokens)
        #expect(try Engine(model: model).makeSequence().append(Self.tokens) == expected)
    }

    @Test("has a digest that changes with any weight and with the configuration")
    func digest() throws {
        var tensors = try CheckpointFiles.tensors(TestModels.odd, seed: 7)
        let base = try Self.load(["model.safetensors": CheckpointFiles.safetensors(tensors)]).digest
        #expect(try Self.load(["model.safetensors": CheckpointFiles.safetensors(tensors)]).digest == base)
        let other = try Self.load(
            ["model.safetensors": CheckpointFiles.safetensors(tensors)],
            fields: "\"pretraining_tp\":1,"
        )
        #expect(other.digest != base)
        tensors[4].elements[0] += 1
        #expect(try Self.load(["model.safetensors": CheckpointFiles.safetensors(tensors)]).digest != base)
    }

    @Test(
        "with a configuration that this engine would compute wrongly is refused",
        arguments: [
            #""model_type":"gemma","#, #""hidden_act":"gelu","#, #""attention_bias":true,"#, #""mlp_bias":true,"#,
            #""rope_scaling":{"rope_type":"yarn","factor":4},"#, #""num_key_value_heads":4,"#, #""hidden_size":-1,"#,
            #""hidden_size":9223372036854775807,"#, #""num_hidden_layers":0,"#, #""head_dim":7,"#, #""vocab_size":100,"#,
            #""rms_norm_eps":-1,"#, #""rope_theta":0,"#, #""hidden_size":"44","#, #""num_attention_heads":0,"#,
        ]
    )
    func unsupported(fields: String) throws {
        let tensors = try CheckpointFiles.tensors(TestModels.odd, seed: 7)
        #expect(throws: EngineError.self) {
            try Self.load(["model.safetensors": CheckpointFiles.safetensors(tensors)], fields: fields)
        }
    }

    @Test("reads Llama 3's rotary scaling in its older and newer places")
    func rotaryScaling() throws {
        let scaling = """
            {"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
            "original_max_position_embeddings":8192
            """
        let expected = RotaryScaling.llama3(
            factor: 8,
            lowFrequencyFactor: 1,
            highFrequencyFactor: 4,
            trainedTokenCount: 8_192
        )
        func parse(_ fields: String) throws -> ModelConfiguration {
            let json = CheckpointFiles.configurationJSON(TestModels.odd, adding: fields)
                .replacing("\"rope_scaling\":null,", with: "")
            return try ModelConfiguration(huggingFace: Array(json.utf8))
        }
        #expect(try parse("\"rope_scaling\":\(scaling)},").rotaryScaling == expected)
        let newer = try parse("\"rope_parameters\":\(scaling),\"rope_theta\":500000.0},")
        #expect(newer.rotaryScaling == expected)
        #expect(newer.rotaryBase == 500_000)
    }

    @Test("with a missing, misshapen or integer tensor, a missing file or an index that leads elsewhere is refused")
    func incomplete() throws {
        let tensors = try CheckpointFiles.tensors(TestModels.odd, seed: 7)
        for index in tensors.indices {
            var missing = tensors
            missing.remove(at: index)
            var misshapen = tensors
            misshapen[index].shape = misshapen[index].shape + [1]
            for tensors in [missing, misshapen] {
                #expect(throws: EngineError.self) {
                    try Self.load(["model.safetensors": CheckpointFiles.safetensors(tensors)])
                }
            }
        }
        let good = CheckpointFiles.safetensors(tensors)
        let integers = String(decoding: good.prefix(9_000), as: UTF8.self)
        #expect(integers.contains("F32"))
        #expect(throws: EngineError.self) { try Self.load([:]) }
        #expect(throws: EngineError.self) { try Model.load(directory: "/nowhere/at/all") }
        for name in ["../model.safetensors", "/etc/passwd", "", "nothing.safetensors"] {
            let index = Array("{\"weight_map\":{\"lm_head.weight\":\"\(name)\"}}".utf8)
            #expect(throws: EngineError.self) {
                try Self.load(["model.safetensors": good, "model.safetensors.index.json": index])
            }
        }
    }

    private static func load(_ files: [String: [UInt8]], fields: String = "") throws -> Model {
        let directory = try TemporaryDirectory()
        let json = CheckpointFiles.configurationJSON(TestModels.odd, adding: fields)
        try CheckpointFiles.write(files.merging(["config.json": Array(json.utf8)]) { $1 }, to: directory.path)
        return try Model.load(directory: directory.path)
    }
}
