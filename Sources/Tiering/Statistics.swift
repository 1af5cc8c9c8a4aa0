/// One figure.
package enum StatisticValue: Sendable, Equatable, CustomStringConvertible {
    /// A count or a number of bytes.
    case integer(Int)
    /// A ratio.
    case ratio(Double)
    /// A word.
    case text(String)

    /// As in replies: integers plain, ratios with four digits.
    package var description: String {
        switch self {
        case .integer(let value): String(value)
        case .ratio(let value):
            // Four decimals, without Foundation's formatting.
            String((value * 10_000).rounded() / 10_000)
        case .text(let value): value
        }
    }
}

/// Named figures in a stable order; units are the last word of a name.
package struct Statistics: Sendable {
    /// The figures.
    package private(set) var fields: [(name: String, value: StatisticValue)] = []

    init() {}

    /// The figure of a name.
    package subscript(name: String) -> StatisticValue? {
        fields.first { $0.name == name }?.value
    }

    /// The integer of a name, or 0.
    package func integer(_ name: String) -> Int {
        if case .integer(let value)? = self[name] { value } else { 0 }
    }

    mutating func add(_ name: String, _ value: Int) { fields.append((name, .integer(value))) }
    mutating func add(_ name: String, _ counter: borrowing Counter) {
        fields.append((name, .integer(counter.value)))
    }
    mutating func add(_ name: String, ratio: Double) { fields.append((name, .ratio(ratio))) }
    mutating func add(_ name: String, text: String) { fields.append((name, .text(text))) }
}
