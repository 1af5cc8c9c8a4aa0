internal import ArgumentParser

/// How a command prints its result.
enum OutputFormat: String, CaseIterable, ExpressibleByArgument, Sendable {
    /// Columns for people.
    case table
    /// One JSON array.
    case json
    /// One JSON object a line.
    case jsonl
}

/// A command's result: rows of typed cells, printed as a table for people or as JSON for programs.
struct Report: Hashable, Sendable {
    /// One column: its JSON name, and its title above the table.
    struct Column: Hashable, Sendable {
        let name: String
        let title: String
        let isNumeric: Bool

        /// A column; the title is the name in capitals with spaces unless one is given.
        init(_ name: String, title: String? = nil, isNumeric: Bool = false) {
            self.name = name
            self.title = title ?? String(name.map { $0 == "_" ? " " : $0 }).uppercased()
            self.isNumeric = isNumeric
        }
    }

    /// One value: as people read it, and as programs do.
    struct Cell: Hashable, Sendable {
        let text: String
        let json: JSONText

        static func text(_ text: String) -> Cell { Cell(text: text, json: .string(text)) }
        static func integer(_ value: Int) -> Cell { Cell(text: Self.grouped(value), json: .integer(value)) }
        static func bytes(_ value: Int) -> Cell {
            Cell(text: ByteCount(bytes: value).description, json: .integer(value))
        }
        static func bool(_ value: Bool) -> Cell { Cell(text: value ? "yes" : "no", json: .bool(value)) }
        static let absent = Cell(text: "-", json: .null)

        /// 1234567 as `1,234,567`.
        private static func grouped(_ value: Int) -> String {
            let digits = Array(String(value.magnitude))
            var text = value < 0 ? "-" : ""
            for (index, digit) in digits.enumerated() {
                if index > 0, (digits.count - index).isMultiple(of: 3) { text += "," }
                text.append(digit)
            }
            return text
        }
    }

    let columns: [Column]
    var rows: [[Cell]] = []

    /// The whole report; a table and JSON end without a line feed, and no rows are `[]` in JSON, nothing in JSON lines.
    func render(_ format: OutputFormat) -> String {
        switch format {
        case .table: TextTable(columns: columns, rows: rows.map { $0.map(\.text) }).text
        case .json: JSONText.array(objects).pretty
        case .jsonl: objects.map(\.compact).joined(separator: "\n")
        }
    }

    private var objects: [JSONText] {
        rows.map { row in
            .object(zip(columns, row).map { JSONText.Member(name: $0.name, value: $1.json) })
        }
    }
}
