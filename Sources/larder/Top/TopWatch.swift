internal import Blocks
internal import LarderClient

/// Looks at the nodes at equal intervals and shows what it sees.
struct TopWatch: Sendable {
    let configuration: LarderClientConfiguration
    let wish: TopSource.Wish
    let interval: TimeSpan
    let timeout: TimeSpan
    let output: OutputFormat

    /// The longest wait of one look in an unbroken series.
    ///
    /// A look asks twice, one question after the other, and both fit into an interval; on a busy machine an answer may
    /// take some time all the same.
    private var deadline: Duration {
        min(timeout.duration, max(interval.duration / 2, .milliseconds(250)))
    }

    /// Two looks, an interval apart, of which the second is shown.
    func lookOnce() async throws {
        let patience = min(timeout.duration, max(interval.duration, .seconds(2)))
        let source = TopSource(configuration, wish, deadline: patience)
        var view = TopView(asked: "\(configuration.endpoint)", interval: interval)
        await source.look(&view)
        try await Task.sleep(for: interval.duration)
        await source.look(&view)
        view.unixMilliseconds = SystemClock().unixMilliseconds()
        try print(view)
    }

    /// Look after look until a signal comes, or a key on a terminal.
    func untilStopped() async throws {
        let isDrawing = output == .table && StandardStreams.outputIsTerminal
        let signals = TerminationSignals()
        let terminal = isDrawing ? TopTerminal() : nil
        defer {
            withExtendedLifetime(signals) {}
            terminal?.giveBack()
        }
        let (first, quit) = (signals.first, terminal?.quit)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.look(isDrawing: isDrawing) }
            group.addTask { for await _ in first { return } }
            if let quit { group.addTask { for await _ in quit {} } }
            try await group.next()
            group.cancelAll()
        }
    }

    private func look(isDrawing: Bool) async throws {
        let source = TopSource(configuration, wish, deadline: deadline)
        var view = TopView(asked: "\(configuration.endpoint)", interval: interval)
        let clock = ContinuousClock()
        var next = clock.now
        var isFirst = true
        while true {
            await source.look(&view)
            view.unixMilliseconds = SystemClock().unixMilliseconds()
            if isDrawing {
                let frame = TopTerminal.screen.frame(view.lines, isFirst: isFirst)
                try StandardStreams.output(bytes: Array(frame.utf8))
            } else {
                try print(view)
            }
            isFirst = false
            next = max(next + interval.duration, clock.now)
            try await Task.sleep(until: next, clock: clock)
        }
    }

    private func print(_ view: TopView) throws(CommandFailure) {
        switch output {
        case .json: try StandardStreams.output(view.json.pretty)
        case .jsonl: try StandardStreams.output(view.json.compact)
        case .table: try StandardStreams.output(view.lines.joined(separator: "\n") + "\n")
        }
    }
}
