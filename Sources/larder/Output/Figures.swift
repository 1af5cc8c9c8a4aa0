/// A node's figures by name, as people and programs read them.
struct Figures: Hashable, Sendable {
    private let values: [Figure]

    private struct Figure: Hashable {
        let name: String
        let value: Value
    }

    private enum Value: Hashable {
        case integer(Int)
        case number(Double)
        case text(String)
    }

    /// Reads figures as the node writes them; shown in the order of their names.
    init(_ figures: [String: String]) {
        values = figures.sorted { $0.key < $1.key }.map { name, text in
            if let integer = Int(text) { return Figure(name: name, value: .integer(integer)) }
            if let number = Double(text) { return Figure(name: name, value: .number(number)) }
            return Figure(name: name, value: .text(text))
        }
    }

    /// One object.
    var json: JSONText {
        .object(
            values.map { figure in
                switch figure.value {
                case .integer(let integer): .init(name: figure.name, value: .integer(integer))
                case .number(let number): .init(name: figure.name, value: .number(number))
                case .text(let text): .init(name: figure.name, value: .string(text))
                }
            }
        )
    }

    /// Name and value.
    var report: Report {
        Report(
            columns: [.init("name"), .init("value", isNumeric: true)],
            rows: values.map { [.text($0.name), Self.cell($0.name, $0.value)] }
        )
    }

    /// Name, value, and the change per second since an earlier look.
    func report(earlier: (figures: Figures, seconds: Double)?) -> Report {
        let old = Dictionary(
            uniqueKeysWithValues: (earlier?.figures.values ?? []).map { ($0.name, $0.value) }
        )
        return Report(
            columns: [
                .init("name"), .init("value", isNumeric: true),
                .init("per_second", title: "PER SECOND", isNumeric: true),
            ],
            rows: values.map { figure in
                let (name, value) = (figure.name, figure.value)
                var change = Report.Cell(text: "", json: .null)
                if case .integer(let now) = value, case .integer(let then) = old[name], let earlier,
                    now != then, earlier.seconds > 0
                {
                    let rate = Double(now.subtractingReportingOverflow(then).partialValue) / earlier.seconds
                    change = Self.cell(name, .integer(Int(rate.rounded())))
                }
                return [.text(name), Self.cell(name, value), change]
            }
        )
    }

    private static func cell(_ name: String, _ value: Value) -> Report.Cell {
        switch value {
        case .integer(let integer):
            name.hasSuffix("_bytes") && integer >= 0 ? .bytes(integer) : .integer(integer)
        case .number(let number): Report.Cell(text: Rate.decimals(number, 3), json: .number(number))
        case .text(let text): .text(text)
        }
    }
}
