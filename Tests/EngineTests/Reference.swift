import Foundation

@testable import Engine

/// The decoder once more, as the papers write it: double precision, plain loops, no cache, no blocks.
///
/// It shares nothing with the engine but the configuration and the names and values of the weights.
struct Reference {
    let configuration: ModelConfiguration
    let weights: any WeightSource

    /// The logits behind the last of `tokens`.
    func logits(_ tokens: [UInt32]) throws -> [Double] {
        let (hidden, headSize) = (configuration.hiddenSize, configuration.headSize)
        let (queries, keys) = (configuration.queryHeadCount, configuration.keyValueHeadCount)
        let embedding = try matrix("model.embed_tokens.weight", configuration.vocabularySize, hidden)
        var stream = tokens.map { embedding[Int($0)] }
        for layer in 0..<configuration.layerCount {
            let prefix = "model.layers.\(layer)."
            let attentionNorm = try matrix("\(prefix)input_layernorm.weight", 1, hidden)[0]
            let q = try matrix("\(prefix)self_attn.q_proj.weight", queries * headSize, hidden)
            let k = try matrix("\(prefix)self_attn.k_proj.weight", keys * headSize, hidden)
            let v = try matrix("\(prefix)self_attn.v_proj.weight", keys * headSize, hidden)
            let o = try matrix("\(prefix)self_attn.o_proj.weight", hidden, queries * headSize)
            let normed = stream.map { normalize($0, attentionNorm) }
            let allQueries = normed.enumerated().map { turned(multiply(q, $1), position: $0) }
            let allKeys = normed.enumerated().map { turned(multiply(k, $1), position: $0) }
            let allValues = normed.map { multiply(v, $0) }
            for position in stream.indices {
                var attended: [Double] = []
                for head in 0..<queries {
                    let shared = head / (queries / keys)
                    attended += attend(
                        slice(allQueries[position], head),
                        allKeys[...position].map { slice($0, shared) },
                        allValues[...position].map { slice($0, shared) }
                    )
                }
                stream[position] = sum(stream[position], multiply(o, attended))
            }
            let feedForwardNorm = try matrix("\(prefix)post_attention_layernorm.weight", 1, hidden)[0]
            let gate = try matrix("\(prefix)mlp.gate_proj.weight", configuration.feedForwardSize, hidden)
            let up = try matrix("\(prefix)mlp.up_proj.weight", configuration.feedForwardSize, hidden)
            let down = try matrix("\(prefix)mlp.down_proj.weight", hidden, configuration.feedForwardSize)
            for position in stream.indices {
                let normed = normalize(stream[position], feedForwardNorm)
                let gated = zip(multiply(gate, normed), multiply(up, normed)).map { Self.gate($0) * $1 }
                stream[position] = sum(stream[position], multiply(down, gated))
            }
        }
        let last = normalize(stream[stream.count - 1], try matrix("model.norm.weight", 1, hidden)[0])
        if configuration.tiesOutputHead { return multiply(embedding, last) }
        return multiply(try matrix("lm_head.weight", configuration.vocabularySize, hidden), last)
    }

    static func exponential(_ value: Double) -> Double { exp(value) }

    static func gate(_ value: Double) -> Double { value / (1 + exp(-value)) }

    /// Softmax of scaled products, then the weighted sum of values.
    func attend(_ query: [Double], _ keys: [[Double]], _ values: [[Double]]) -> [Double] {
        let scores = keys.map { zip(query, $0).reduce(0) { $0 + $1.0 * $1.1 } / Double(query.count).squareRoot() }
        let top = scores.max() ?? 0
        let weights = scores.map { exp($0 - top) }
        let total = weights.reduce(0, +)
        return query.indices.map { element in
            zip(weights, values).reduce(0) { $0 + $1.0 * $1.1[element] } / total
        }
    }

    private func slice(_ row: [Double], _ head: Int) -> [Double] {
        Array(row[head * configuration.headSize..<(head + 1) * configuration.headSize])
    }

    /// Complex multiplication: pair i is the complex number (x[i], x[i + half]).
    private func turned(_ row: [Double], position: Int) -> [Double] {
        let (size, half) = (configuration.headSize, configuration.headSize / 2)
        var result = row
        for head in 0..<row.count / size {
            for pair in 0..<half {
                let frequency = configuration.rotaryScaling
                    .apply(to: exp(-log(configuration.rotaryBase) * Double(pair) / Double(half)))
                let angle = Double(position) * frequency
                let (real, imaginary) = (row[head * size + pair], row[head * size + pair + half])
                result[head * size + pair] = real * cos(angle) - imaginary * sin(angle)
                result[head * size + pair + half] = real * sin(angle) + imaginary * cos(angle)
            }
        }
        return result
    }

    private func normalize(_ row: [Double], _ scales: [Double]) -> [Double] {
        let meanSquare = row.reduce(0) { $0 + $1 * $1 } / Double(row.count)
        let scale = 1 / (meanSquare + Double(configuration.normalizationEpsilon)).squareRoot()
        return zip(row, scales).map { $0 * scale * $1 }
    }

    private func multiply(_ matrix: [[Double]], _ row: [Double]) -> [Double] {
        matrix.map { weights in zip(weights, row).reduce(0) { $0 + $1.0 * $1.1 } }
    }

    private func sum(_ left: [Double], _ right: [Double]) -> [Double] { zip(left, right).map { $0 + $1 } }

    private func matrix(_ name: String, _ rowCount: Int, _ columnCount: Int) throws -> [[Double]] {
        var rows: [[Double]] = []
        try weights.read(name, rowCount: rowCount, columnCount: columnCount) { _, element in
            rows.append((0..<columnCount).map { Double(element($0)) })
        }
        return rows
    }
}
