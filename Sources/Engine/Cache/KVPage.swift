/// The keys and values of 16 consecutive tokens in all layers, as the kernels want them: float32 values that have
/// been rounded to the cache's number format.
///
/// Per layer, first the keys of each head, [element][token]: 16 scores come from one panel. Then the values of each
/// head, [16 elements][token][element]: 16 elements of a weighted sum come from one panel.
final class KVPage: Sendable {
    /// Tokens of a page.
    static let tokenCount = KernelVariant.panelWidth

    private let shape: KVPageShape
    private let floats: FloatMatrix

    init(_ shape: KVPageShape) {
        self.shape = shape
        floats = FloatMatrix(rowCount: shape.layerCount, columnCount: shape.layerFloatCount)
    }

    /// A head's keys in a layer: `headSize` times 16 floats.
    func keys(layer: Int, head: Int) -> UnsafeMutablePointer<Float> {
        precondition(head >= 0 && head < shape.headCount)
        // SAFETY: a row has the keys of all heads.
        return unsafe floats.row(layer) + head * shape.keyFloatCount
    }

    /// A head's values in a layer: panels of 16 tokens times 16 elements.
    func values(layer: Int, head: Int) -> UnsafeMutablePointer<Float> {
        precondition(head >= 0 && head < shape.headCount)
        // SAFETY: behind the keys, a row has the values of all heads.
        return unsafe floats.row(layer) + shape.headCount * shape.keyFloatCount + head * shape.valueFloatCount
    }

    /// Rounds one token's keys and values of a layer and puts them into lane `token`.
    ///
    /// `keys` and `values` have `headCount * headSize` floats.
    func set<Element: KVElement>(
        layer: Int,
        token: Int,
        keys: UnsafePointer<Float>,
        values: UnsafePointer<Float>,
        as element: Element.Type
    ) {
        set(
            layer: layer,
            token: token,
            key: { unsafe Element.value(of: Element.bits(of: keys[$0])) },
            value: { unsafe Element.value(of: Element.bits(of: values[$0])) }
        )
    }

    /// Puts one token's keys and values of a layer, given by [head][element] index, into lane `token`.
    @inline(__always)
    func set(layer: Int, token: Int, key: (Int) -> Float, value: (Int) -> Float) {
        precondition(token >= 0 && token < Self.tokenCount)
        let width = Self.tokenCount
        for head in 0..<shape.headCount {
            let keys = unsafe self.keys(layer: layer, head: head) + token
            let values = unsafe self.values(layer: layer, head: head) + token * width
            let first = head * shape.headSize
            for element in 0..<shape.headSize {
                // SAFETY: element is less than the head's size and token less than a page's.
                unsafe keys[element * width] = key(first + element)
                unsafe values[(element / width) * width * width + element % width] = value(first + element)
            }
        }
    }

    /// Reads one token's keys and values of a layer: calls `body` for each [head][element] index.
    @inline(__always)
    func forEach(layer: Int, token: Int, _ body: (_ index: Int, _ key: Float, _ value: Float) -> Void) {
        precondition(token >= 0 && token < Self.tokenCount)
        let width = Self.tokenCount
        for head in 0..<shape.headCount {
            let keys = unsafe self.keys(layer: layer, head: head) + token
            let values = unsafe self.values(layer: layer, head: head) + token * width
            let first = head * shape.headSize
            for element in 0..<shape.headSize {
                // SAFETY: as in `set`.
                let value = unsafe values[(element / width) * width * width + element % width]
                body(first + element, unsafe keys[element * width], value)
            }
        }
    }
}

/// The sizes of a page.
struct KVPageShape: Hashable, Sendable {
    let layerCount: Int
    let headCount: Int
    let headSize: Int

    init(_ layout: KVLayout) {
        layerCount = layout.layerCount
        headCount = layout.headCount
        headSize = layout.headSize
    }

    /// Floats of a head's keys in a layer.
    var keyFloatCount: Int { headSize * KVPage.tokenCount }
    /// Groups of 16 elements of a head's values.
    var valuePanelCount: Int { roundedUp(headSize, to: KernelVariant.panelWidth) / KernelVariant.panelWidth }
    /// Floats of a head's values in a layer.
    var valueFloatCount: Int { valuePanelCount * KernelVariant.panelWidth * KVPage.tokenCount }
    /// Floats of a layer.
    var layerFloatCount: Int { headCount * (keyFloatCount + valueFloatCount) }
}
