/// Where weights come from, tensor by tensor; names and shapes are those of Hugging Face's Llama checkpoints.
protocol WeightSource {
    /// Calls `row` with each row's elements as a function of the column.
    ///
    /// Throws when there is no such tensor or its shape is not `rowCount` by `columnCount` (a vector is one row).
    func read(
        _ name: String,
        rowCount: Int,
        columnCount: Int,
        row: (_ index: Int, _ element: (_ column: Int) -> Float) -> Void
    ) throws(EngineError)
}

extension ModelWeights {
    /// Reads every tensor that `configuration` asks for.
    init(_ configuration: ModelConfiguration, from source: some WeightSource) throws(EngineError) {
        let hiddenSize = configuration.hiddenSize
        embedding = try source.rows(
            "model.embed_tokens.weight",
            rowCount: configuration.vocabularySize,
            columnCount: hiddenSize
        )
        var layers: [LayerWeights] = []
        for index in 0..<configuration.layerCount {
            layers.append(try LayerWeights(configuration, layer: index, from: source))
        }
        self.layers = layers
        outputNorm = try source.rows("model.norm.weight", rowCount: 1, columnCount: hiddenSize)
        if configuration.tiesOutputHead {
            let embedding = self.embedding
            outputHead = PackedMatrix(outputCount: configuration.vocabularySize, inputCount: hiddenSize)
            for token in 0..<configuration.vocabularySize {
                outputHead.set(output: token) { embedding[token, $0] }
            }
        } else {
            outputHead = try source.packed(["lm_head.weight"], rowCounts: [configuration.vocabularySize], hiddenSize)
        }
    }
}

extension LayerWeights {
    fileprivate init(
        _ configuration: ModelConfiguration,
        layer: Int,
        from source: some WeightSource
    ) throws(EngineError) {
        let prefix = "model.layers.\(layer)."
        let (hidden, feedForward) = (configuration.hiddenSize, configuration.feedForwardSize)
        let (query, keyValue) = (configuration.querySize, configuration.keyValueSize)
        attentionNorm = try source.rows("\(prefix)input_layernorm.weight", rowCount: 1, columnCount: hidden)
        queryKeyValue = try source.packed(
            ["q", "k", "v"].map { "\(prefix)self_attn.\($0)_proj.weight" },
            rowCounts: [query, keyValue, keyValue],
            hidden
        )
        attentionOutput = try source.packed(["\(prefix)self_attn.o_proj.weight"], rowCounts: [hidden], query)
        feedForwardNorm = try source.rows("\(prefix)post_attention_layernorm.weight", rowCount: 1, columnCount: hidden)
        gate = try source.packed(["\(prefix)mlp.gate_proj.weight"], rowCounts: [feedForward], hidden)
        up = try source.packed(["\(prefix)mlp.up_proj.weight"], rowCounts: [feedForward], hidden)
        down = try source.packed(["\(prefix)mlp.down_proj.weight"], rowCounts: [hidden], feedForward)
    }
}

extension WeightSource {
    /// A tensor as plain rows. Memory is taken once the first row shows that the tensor has the promised shape.
    fileprivate func rows(_ name: String, rowCount: Int, columnCount: Int) throws(EngineError) -> FloatMatrix {
        var matrix: FloatMatrix?
        try read(name, rowCount: rowCount, columnCount: columnCount) { row, element in
            let target = matrix ?? FloatMatrix(rowCount: rowCount, columnCount: columnCount)
            matrix = target
            for column in 0..<columnCount { target[row, column] = element(column) }
        }
        guard let matrix else { throw EngineError(.invalidWeights, "tensor \(name) is empty") }
        return matrix
    }

    /// Tensors stacked into one packed matrix.
    fileprivate func packed(
        _ names: [String],
        rowCounts: [Int],
        _ columnCount: Int
    ) throws(EngineError) -> PackedMatrix {
        var matrix: PackedMatrix?
        var firstRow = 0
        for (name, rowCount) in zip(names, rowCounts) {
            try read(name, rowCount: rowCount, columnCount: columnCount) { row, element in
                let total = rowCounts.reduce(0, +)
                let target = matrix ?? PackedMatrix(outputCount: total, inputCount: columnCount)
                matrix = target
                target.set(output: firstRow + row, to: element)
            }
            firstRow += rowCount
        }
        guard let matrix else { throw EngineError(.invalidWeights, "tensor \(names) is empty") }
        return matrix
    }
}
