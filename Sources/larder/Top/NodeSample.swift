/// What one node said of itself at one moment.
struct NodeSample: Hashable, Sendable {
    /// Seconds on a clock that never goes back.
    let seconds: Double
    private let figures: [String: String]

    /// Takes figures as the node writes them, of the node and of its part in a cluster.
    init(seconds: Double, figures: [String: String]) {
        self.seconds = seconds
        self.figures = figures
    }

    /// The figure of a name, as text.
    func text(_ name: String) -> String? { figures[name] }

    /// The figure of a name; `nil` when the node does not tell it.
    func integer(_ name: String) -> Int? { figures[name].flatMap { Int($0) } }

    /// The figure of a name; `nil` when the node does not tell it.
    func number(_ name: String) -> Double? { figures[name].flatMap { Double($0) } }

    /// The sum of all figures whose names begin so; `nil` when there are none.
    func sum(prefix: String) -> Int? {
        let values = figures.filter { $0.key.hasPrefix(prefix) }.compactMap { Int($0.value) }
        return values.isEmpty ? nil : values.reduce(0) { $0.addingReportingOverflow($1).partialValue }
    }
}
