/// Rows of floats, zero at first, each padded with zeros to whole panels of 16 columns.
///
/// Sendable because the tasks of one parallel step write disjoint elements, and steps follow one another.
@safe
package final class FloatMatrix: @unchecked Sendable {
    /// Number of rows.
    package let rowCount: Int
    /// Elements of a row that carry meaning.
    package let columnCount: Int
    /// Elements from one row to the next: `columnCount` rounded up to a whole panel.
    package let rowStride: Int
    private let elements: UnsafeMutableBufferPointer<Float>

    /// Takes zeroed memory; the product of the sizes must be one that memory can hold.
    package init(rowCount: Int, columnCount: Int) {
        self.rowCount = rowCount
        self.columnCount = columnCount
        rowStride = roundedUp(columnCount, to: KernelVariant.panelWidth)
        // SAFETY: 64-byte aligned memory of the requested size, initialized in full, freed in deinit.
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(1, rowCount * rowStride) * MemoryLayout<Float>.stride,
            alignment: 64
        )
        unsafe elements = memory.bindMemory(to: Float.self)
        unsafe elements.initialize(repeating: 0)
    }

    deinit { unsafe elements.deallocate() }

    /// The first element of a row. Traps outside `0..<rowCount`: a mistake of ours.
    func row(_ index: Int) -> UnsafeMutablePointer<Float> {
        precondition(index >= 0 && index < rowCount)
        // SAFETY: the row is inside the allocation, which has at least one element.
        return unsafe elements.baseAddress.unsafelyUnwrapped + index * rowStride
    }

    /// One element, checked.
    package subscript(row: Int, column: Int) -> Float {
        get {
            precondition(column >= 0 && column < columnCount)
            return unsafe self.row(row)[column]
        }
        set {
            precondition(column >= 0 && column < columnCount)
            unsafe self.row(row)[column] = newValue
        }
    }

    /// The meaningful elements of a row, copied.
    package func values(ofRow index: Int) -> [Float] {
        unsafe Array(UnsafeBufferPointer(start: row(index), count: columnCount))
    }
}

/// The smallest multiple of `step` that is not less than `count`.
func roundedUp(_ count: Int, to step: Int) -> Int {
    (count + step - 1) / step * step
}
