/// Columns of text, two spaces apart, numbers to the right, no trailing spaces.
struct TextTable {
    let columns: [Report.Column]
    let rows: [[String]]

    /// The title line and one line per row.
    var text: String {
        let lines = [columns.map(\.title)] + rows
        let widths = columns.indices.map { index in lines.map { $0[index].count }.max() ?? 0 }
        return lines.map { line(of: $0, widths: widths) }.joined(separator: "\n")
    }

    private func line(of cells: [String], widths: [Int]) -> String {
        var line = ""
        for (index, cell) in cells.enumerated() {
            let padding = String(repeating: " ", count: widths[index] - cell.count)
            if index > 0 { line += "  " }
            line += columns[index].isNumeric ? padding + cell : cell + padding
        }
        while line.hasSuffix(" ") { line.removeLast() }
        return line
    }
}
