/// How log lines look.
enum LogFormat: String, CaseIterable, Sendable {
    /// Text on a terminal, JSON otherwise.
    case auto
    /// `2026-01-01T12:00:00.000Z info node: message key=value`.
    case text
    /// One JSON object a line.
    case json
}
