/// A weight matrix (outputs by inputs) laid out for the multiply kernel: panels of 16 outputs, input by input.
///
/// Element (output, input) is `panels[output / 16][input][output % 16]`; outputs are padded with zeros.
@safe
package final class PackedMatrix: @unchecked Sendable {
    /// Rows of the weight matrix: elements of a result.
    package let outputCount: Int
    /// Columns of the weight matrix: elements of a multiplied row.
    package let inputCount: Int
    /// Groups of 16 outputs.
    package let panelCount: Int
    private let panels: FloatMatrix

    /// A matrix of zeros.
    package init(outputCount: Int, inputCount: Int) {
        self.outputCount = outputCount
        self.inputCount = inputCount
        panelCount = roundedUp(outputCount, to: KernelVariant.panelWidth) / KernelVariant.panelWidth
        panels = FloatMatrix(rowCount: panelCount, columnCount: inputCount * KernelVariant.panelWidth)
    }

    /// Sets one row of weights, before the matrix is shared.
    package func set(output: Int, to value: (_ input: Int) -> Float) {
        precondition(output >= 0 && output < outputCount)
        let width = KernelVariant.panelWidth
        let lane = unsafe panels.row(output / width) + output % width
        // SAFETY: a panel has inputCount * width elements and the lane is less than the width.
        for input in 0..<inputCount { unsafe lane[input * width] = value(input) }
    }

    /// destination rows (+)= rows times the transposed matrix, for the outputs of some panels.
    ///
    /// - Parameters:
    ///   - rows: matrix with `inputCount` columns.
    ///   - rowRange: the rows to multiply.
    ///   - panelRange: the groups of 16 outputs to compute.
    ///   - destination: matrix with `outputCount` columns and at least the rows of `rowRange`.
    ///   - accumulates: start from what `destination` holds instead of zero.
    ///   - variant: the instruction set.
    package func multiply(
        _ rows: FloatMatrix,
        rowRange: Range<Int>,
        panelRange: Range<Int>,
        into destination: FloatMatrix,
        accumulates: Bool = false,
        variant: KernelVariant = .best
    ) {
        guard !rowRange.isEmpty, !panelRange.isEmpty else { return }
        precondition(rows.columnCount == inputCount && destination.columnCount == outputCount)
        precondition(rowRange.upperBound <= min(rows.rowCount, destination.rowCount))
        precondition(panelRange.lowerBound >= 0 && panelRange.upperBound <= panelCount)
        // SAFETY: rows, panels and destination hold all elements of the ranges checked above.
        unsafe variant.multiply(
            rows: rows.row(rowRange.lowerBound),
            rowStride: rows.rowStride,
            rowCount: rowRange.count,
            depth: inputCount,
            panels: panels.row(panelRange.lowerBound),
            panelStride: panels.rowStride,
            panelCount: panelRange.count,
            into: destination.row(rowRange.lowerBound) + panelRange.lowerBound * KernelVariant.panelWidth,
            destinationStride: destination.rowStride,
            accumulates: accumulates
        )
    }
}
