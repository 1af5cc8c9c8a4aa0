/// Weights that are a function of a seed: element `i` of tensor `t` depends on (seed, t, i) alone.
///
/// Uniform values whose spread is 1 / sqrt(inputs), so that activations keep their size from layer to layer; the
/// scales of the norms are close to 1.
struct SeededWeights: WeightSource {
    let seed: UInt64
    let layerCount: Int

    func read(
        _ name: String,
        rowCount: Int,
        columnCount: Int,
        row: (Int, (Int) -> Float) -> Void
    ) throws(EngineError) {
        let stream = SeededGenerator.mix(name.utf8.reduce(seed) { SeededGenerator.mix($0 ^ UInt64($1)) })
        let (offset, amplitude) = distribution(of: name, columnCount: columnCount)
        for index in 0..<rowCount {
            let first = UInt64(index) &* UInt64(columnCount)
            row(index) { column in
                let bits = SeededGenerator.mix(stream &+ (first &+ UInt64(column)) &* SeededGenerator.step)
                // 24 bits, exact in a float, in -1..<1.
                let unit = Float(Int32(truncatingIfNeeded: bits >> 40) - 0x80_0000) / 0x80_0000
                return offset + unit * amplitude
            }
        }
    }

    private func distribution(of name: String, columnCount: Int) -> (offset: Float, amplitude: Float) {
        if name.hasSuffix("norm.weight") { return (1, 0.1) }
        if name == "model.embed_tokens.weight" { return (0, 1) }
        // A uniform value in -a..<a has the deviation a / sqrt(3).
        let spread = (3 / Float(columnCount)).squareRoot()
        let isResidual = name.hasSuffix("o_proj.weight") || name.hasSuffix("down_proj.weight")
        return (0, isResidual ? spread / (2 * Float(layerCount)).squareRoot() : spread)
    }
}
