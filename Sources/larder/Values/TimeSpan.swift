/// A length of time as people write it: `30s`, `500ms`, `1h30m`, `2d`.
struct TimeSpan: Hashable, Sendable {
    /// Milliseconds; never negative.
    let milliseconds: Int

    /// Wraps milliseconds.
    init(milliseconds: Int) {
        self.milliseconds = milliseconds
    }

    /// Reads whole numbers with units `ms s m h d`, one after another.
    ///
    /// `0` needs no unit. `nil` for anything else.
    init?(_ text: String) {
        guard text != "0" else {
            milliseconds = 0
            return
        }
        guard !text.isEmpty else { return nil }
        var rest = Substring(text)
        var total = 0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(unit.count)
            guard let number = Int(digits), let length = Self.units[String(unit)] else { return nil }
            let (part, partOverflows) = number.multipliedReportingOverflow(by: length)
            let (sum, sumOverflows) = total.addingReportingOverflow(part)
            guard !partOverflows, !sumOverflows else { return nil }
            total = sum
        }
        milliseconds = total
    }

    private static let units = ["ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000]

    /// The same length for clocks and timers.
    var duration: Duration { .milliseconds(milliseconds) }
}

extension TimeSpan: CustomStringConvertible {
    /// The shortest spelling that reads back to the same length: `30s`, `1500ms`, `2h`.
    var description: String {
        let names: [(String, Int)] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)]
        for (name, unit) in names where milliseconds >= unit && milliseconds.isMultiple(of: unit) {
            return "\(milliseconds / unit)\(name)"
        }
        return milliseconds == 0 ? "0" : "\(milliseconds)ms"
    }
}
