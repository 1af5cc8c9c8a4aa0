internal import Logging

/// One log record, as text or as JSON.
///
/// Pure: the time is given.
struct LogLine {
    /// Milliseconds since 1970.
    let unixMilliseconds: UInt64
    let level: Logger.Level
    let label: String
    let message: String
    /// In the order of their names.
    let fields: [(name: String, value: String)]

    /// Longest message or field value written, characters; the rest is cut, and `...` says so.
    static let textLengthMax = 4_096

    /// For people: time, level, label, message, then `name=value`.
    var text: String {
        var line = "\(Self.time(unixMilliseconds)) \(level.rawValue) \(label): \(Self.oneLine(message))"
        for field in fields {
            let value = Self.oneLine(field.value)
            let isPlain = !value.isEmpty && !value.contains { $0 == " " || $0 == "\"" || $0 == "=" }
            line += " \(field.name)=" + (isPlain ? value : JSONText.string(value).compact)
        }
        return line
    }

    /// For programs: `time`, `level`, `logger`, `message`, and the fields beside them.
    var json: String {
        let head: [JSONText.Member] = [
            .init(name: "time", value: .string(Self.time(unixMilliseconds))),
            .init(name: "level", value: .string(level.rawValue)),
            .init(name: "logger", value: .string(label)),
            .init(name: "message", value: .string(Self.bounded(message))),
        ]
        let taken = head.map(\.name)
        return JSONText.object(
            head
                + fields.map { field in
                    let name = taken.contains(field.name) ? field.name + "_" : field.name
                    return .init(name: name, value: .string(Self.bounded(field.value)))
                }
        ).compact
    }

    private static func oneLine(_ text: String) -> String {
        String(bounded(text).map { $0.isNewline ? " " : $0 })
    }

    private static func bounded(_ text: String) -> String {
        text.utf8.count <= textLengthMax ? text : text.prefix(textLengthMax) + "..."
    }

    /// UTC with milliseconds, as RFC 3339 writes it.
    static func time(_ unixMilliseconds: UInt64) -> String {
        let seconds = unixMilliseconds / 1_000
        let (year, month, day) = date(daysSince1970: Int(clamping: seconds / 86_400))
        func padded(_ number: some BinaryInteger, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let clock = [seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60].map { padded($0, 2) }
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T\(clock.joined(separator: ":"))."
            + "\(padded(unixMilliseconds % 1_000, 3))Z"
    }

    /// The civil date, by Howard Hinnant's algorithm (https://howardhinnant.github.io/date_algorithms.html).
    private static func date(daysSince1970 days: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }
}
