internal import Blocks

/// The forward pass: tokens in, keys and values into the cache, the last token's logits out.
///
/// A call takes up to `rowCountMax` tokens side by side. Rows meet nowhere but in attention, through the cache, and
/// attention reads keys and values as the cache rounds them; so how a prompt is cut into calls changes no bit.
///
/// Sendable so that the tasks of its own steps may read it; a pass serves one call at a time.
final class ForwardPass: Sendable {
    /// Most tokens of one call.
    static let rowCountMax = 256

    private let model: Model
    private let team: ThreadTeam
    private let variant: KernelVariant
    private let attention: Attention

    /// The residual stream, a row per token.
    private let stream: FloatMatrix
    private let normalized: FloatMatrix
    private let queryKeyValue: FloatMatrix
    private let attended: FloatMatrix
    private let gate: FloatMatrix
    private let up: FloatMatrix
    private let logits: FloatMatrix

    init(_ model: Model, team: ThreadTeam, variant: KernelVariant) {
        let configuration = model.configuration
        self.model = model
        self.team = team
        self.variant = variant
        attention = Attention(configuration, team: team, variant: variant)
        func rows(_ columnCount: Int) -> FloatMatrix {
            FloatMatrix(rowCount: Self.rowCountMax, columnCount: columnCount)
        }
        stream = rows(configuration.hiddenSize)
        normalized = rows(configuration.hiddenSize)
        queryKeyValue = rows(configuration.querySize + 2 * configuration.keyValueSize)
        attended = rows(configuration.querySize)
        gate = rows(configuration.feedForwardSize)
        up = rows(configuration.feedForwardSize)
        logits = FloatMatrix(rowCount: 1, columnCount: configuration.vocabularySize)
    }

    /// Computes `tokens`, which follow those in `cache`, into it.
    ///
    /// - Parameters:
    ///   - tokens: 1 to `rowCountMax` tokens of the vocabulary.
    ///   - cache: has pages reserved for them.
    ///   - wantsLogits: whether the last token's logits are computed.
    /// - Returns: a logit per token of the vocabulary, or `nil` when they are not wanted.
    func compute(_ tokens: ArraySlice<UInt32>, cache: PagedCache, wantsLogits: Bool) -> [Float]? {
        let rowCount = tokens.count
        precondition((1...Self.rowCountMax).contains(rowCount))
        embed(tokens)
        let firstToken = cache.tokenCount
        let rotations = (0..<rowCount).map { model.rotary.rotation(at: firstToken + $0) }
        for (index, layer) in model.weights.layers.enumerated() {
            normalize(rowCount, layer.attentionNorm)
            multiply(normalized, rowCount, layer.queryKeyValue, into: queryKeyValue)
            turnAndStore(rotations, firstToken: firstToken, layer: index, cache: cache)
            attention.attend(
                queryKeyValue,
                rowCount: rowCount,
                firstToken: firstToken,
                pages: cache.pages,
                layer: index,
                into: attended
            )
            multiply(attended, rowCount, layer.attentionOutput, into: stream, accumulates: true)
            normalize(rowCount, layer.feedForwardNorm)
            feedForward(rowCount, layer)
            multiply(gate, rowCount, layer.down, into: stream, accumulates: true)
        }
        cache.advance(rowCount)
        return wantsLogits ? lastLogits(rowCount) : nil
    }

    private func embed(_ tokens: ArraySlice<UInt32>) {
        let hiddenSize = model.configuration.hiddenSize
        for (row, token) in tokens.enumerated() {
            // SAFETY: both rows have hiddenSize floats; tokens are of the vocabulary.
            unsafe stream.row(row).update(from: model.weights.embedding.row(Int(token)), count: hiddenSize)
        }
    }

    private func normalize(_ rowCount: Int, _ weights: FloatMatrix) {
        forEachRow(rowCount) { [self] row in normalize(row, weights, into: row) }
    }

    private func normalize(_ row: Int, _ weights: FloatMatrix, into destinationRow: Int) {
        // SAFETY: rows of the stream and of its normalized copy, and the weights, have hiddenSize floats.
        unsafe variant.normalize(
            stream.row(row),
            weights: weights.row(0),
            count: model.configuration.hiddenSize,
            epsilon: model.configuration.normalizationEpsilon,
            into: normalized.row(destinationRow)
        )
    }

    /// Turns queries and keys by their positions; rounds keys and values into the cache.
    private func turnAndStore(_ rotations: [[Float]], firstToken: Int, layer: Int, cache: PagedCache) {
        let configuration = model.configuration
        let (pages, element) = (cache.pages, cache.layout.elementType.element)
        forEachRow(rotations.count) { [queryKeyValue] row in
            let headCount = configuration.queryHeadCount + configuration.keyValueHeadCount
            let heads = unsafe queryKeyValue.row(row)
            for head in 0..<headCount {
                // SAFETY: a row holds all query heads, all key heads and all value heads, in this order.
                unsafe RotaryEmbedding.turn(heads + head * configuration.headSize, by: rotations[row])
            }
            let keys = unsafe heads + configuration.querySize
            let (page, lane) = (firstToken + row).quotientAndRemainder(dividingBy: KVPage.tokenCount)
            unsafe pages[page]
                .set(layer: layer, token: lane, keys: keys, values: keys + configuration.keyValueSize, as: element)
        }
    }

    /// gate = SiLU(gate(normalized)) * up(normalized).
    private func feedForward(_ rowCount: Int, _ layer: LayerWeights) {
        forEachPanelRange(layer.gate) { [self] panels in
            layer.gate.multiply(normalized, rowRange: 0..<rowCount, panelRange: panels, into: gate, variant: variant)
            layer.up.multiply(normalized, rowRange: 0..<rowCount, panelRange: panels, into: up, variant: variant)
            let first = panels.lowerBound * KernelVariant.panelWidth
            for row in 0..<rowCount {
                // SAFETY: both rows are padded to whole panels.
                unsafe variant.gate(
                    gate.row(row) + first,
                    up: up.row(row) + first,
                    count: panels.count * KernelVariant.panelWidth
                )
            }
        }
    }

    private func lastLogits(_ rowCount: Int) -> [Float] {
        normalize(rowCount - 1, model.weights.outputNorm, into: 0)
        multiply(normalized, 1, model.weights.outputHead, into: logits)
        return logits.values(ofRow: 0)
    }

    private func multiply(
        _ rows: FloatMatrix,
        _ rowCount: Int,
        _ weights: PackedMatrix,
        into destination: FloatMatrix,
        accumulates: Bool = false
    ) {
        forEachPanelRange(weights) { [variant] panels in
            weights.multiply(
                rows,
                rowRange: 0..<rowCount,
                panelRange: panels,
                into: destination,
                accumulates: accumulates,
                variant: variant
            )
        }
    }

    /// Shares a matrix's panels among the threads, in a few pieces for each.
    private func forEachPanelRange(_ weights: PackedMatrix, _ body: @Sendable (Range<Int>) -> Void) {
        let pieceCount = min(weights.panelCount, team.threadCount == 1 ? 1 : 4 * team.threadCount)
        let panelCount = weights.panelCount
        team.perform(pieceCount) { piece, _ in
            body(piece * panelCount / pieceCount..<(piece + 1) * panelCount / pieceCount)
        }
    }

    /// Shares rows among the threads, 16 at a time.
    private func forEachRow(_ rowCount: Int, _ body: @Sendable (Int) -> Void) {
        team.perform((rowCount + 15) / 16) { piece, _ in
            for row in piece * 16..<min(rowCount, piece * 16 + 16) { body(row) }
        }
    }
}
