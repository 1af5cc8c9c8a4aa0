/// How far `larder warm` is, as one line.
///
/// Pure: the time is given.
struct WarmProgress: Hashable, Sendable {
    /// Prefixes in the file.
    let prefixCount: Int
    /// Prefixes done.
    var prefixesDone = 0
    /// Blocks of the prefixes looked at so far.
    var blockCount = 0
    /// Of those, blocks where they are to be.
    var blocksDone = 0

    /// `3/10 prefixes, 1,200 blocks, 30 %, 400 blocks/s, ETA 7s`.
    func text(elapsedSeconds: Double) -> String {
        let share = prefixCount == 0 ? 1 : Double(prefixesDone) / Double(prefixCount)
        var parts = [
            "\(prefixesDone)/\(prefixCount) prefixes", "\(Report.Cell.integer(blocksDone).text) blocks",
            "\(Int(share * 100)) %",
        ]
        if elapsedSeconds > 0 {
            parts.append("\(Rate.decimals(Double(blocksDone) / elapsedSeconds, 0)) blocks/s")
        }
        if share > 0, share < 1 {
            let left = elapsedSeconds / share * (1 - share)
            parts.append("ETA \(TimeSpan(milliseconds: Int(left.rounded(.up)) * 1_000))")
        }
        return parts.joined(separator: ", ")
    }
}

/// Shows progress on standard error: one line that changes on a terminal, a line every two seconds elsewhere.
final class ProgressLine {
    private let isTerminal = StandardStreams.errorIsTerminal
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var last: ContinuousClock.Instant?
    private var width = 0

    init() { start = clock.now }

    /// Seconds since the start.
    var elapsedSeconds: Double { (clock.now - start) / .seconds(1) }

    /// Shows `text` unless a line was shown a moment ago.
    func show(_ text: @autoclosure () -> String) {
        let now = clock.now
        if let last, now - last < (isTerminal ? .milliseconds(200) : .seconds(2)) { return }
        last = now
        put(text())
    }

    /// Shows the last line and ends it.
    func finish(_ text: String) {
        put(text)
        if isTerminal { StandardStreams.errorText("\n") }
    }

    private func put(_ text: String) {
        guard isTerminal else { return StandardStreams.error(text) }
        StandardStreams.errorText("\r" + text + String(repeating: " ", count: max(0, width - text.count)))
        width = text.count
    }
}
