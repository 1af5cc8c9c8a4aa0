/// Lines as a terminal shows them: each in its place, none longer than the terminal is wide.
struct TopScreen: Hashable, Sendable {
    let rowCount: Int
    let columnCount: Int

    /// The usual terminal.
    static let usual = TopScreen(rowCount: 24, columnCount: 80)

    /// The lines that fit, without the empty ones where room is short; the last one says how many do not. One row is left
    /// for the cursor.
    func fit(_ lines: [String]) -> [String] {
        let room = max(1, rowCount - 1)
        var shown = lines.count > room ? lines.filter { !$0.isEmpty } : lines
        if shown.count > room {
            let hidden = shown.count - room + 1
            shown = shown.prefix(room - 1) + ["... \(hidden) more lines: the terminal has \(rowCount) rows"]
        }
        return shown.map { String($0.prefix(max(1, columnCount))) }
    }

    /// What a terminal is sent to show these lines instead of those before: each line is overwritten and what is left of
    /// the old one erased, so that nothing flickers.
    func frame(_ lines: [String], isFirst: Bool) -> String {
        (isFirst ? "\u{1b}[2J" : "") + "\u{1b}[H"
            + fit(lines).map { $0 + "\u{1b}[K\r\n" }.joined() + "\u{1b}[J"
    }
}
