/// The weights of one decoder layer; every vector of weights is one row.
struct LayerWeights: Sendable {
    /// Scales of the norm before attention.
    let attentionNorm: FloatMatrix
    /// Queries, then keys, then values.
    let queryKeyValue: PackedMatrix
    /// From attention back to the residual stream.
    let attentionOutput: PackedMatrix
    /// Scales of the norm before the gated layer.
    let feedForwardNorm: FloatMatrix
    /// The branch that goes through SiLU.
    let gate: PackedMatrix
    /// The branch that it gates.
    let up: PackedMatrix
    /// From the gated layer back to the residual stream.
    let down: PackedMatrix
}

/// All weights of a decoder, widened to float32.
struct ModelWeights: Sendable {
    /// A row per token.
    let embedding: FloatMatrix
    let layers: [LayerWeights]
    /// Scales of the last norm.
    let outputNorm: FloatMatrix
    /// From the residual stream to a logit per token.
    let outputHead: PackedMatrix
}
