internal import ArgumentParser
internal import Blocks
internal import LarderClient

/// `larder stats`.
struct StatsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "Show a node's figures, or its hottest prefixes.",
        discussion: """
              larder stats                           every figure once
              larder stats --watch                   again and again, with the change per second
              larder stats --ns @namespace.json      one namespace's figures
              larder stats --output json | jq .memory_used_bytes

            Names that end in _bytes are bytes, in _seconds seconds; counters only grow. --hot writes the prefixes \
            that were asked for most, in the form that 'larder warm' reads:

              larder stats --hot 100 --ns @namespace.json --output jsonl > hot.jsonl
            """
    )

    @OptionGroup var node: NodeOptions
    @Option(
        name: .customLong("ns"),
        help: ArgumentHelp(
            "Figures of this namespace: 64 hexadecimal digits, its JSON description, or @FILE.",
            valueName: "namespace"
        )
    )
    var namespace: NamespaceArgument?
    @Flag(help: "Show the figures again and again until interrupted.")
    var watch = false
    @Option(help: ArgumentHelp("Time between two looks with --watch.", valueName: "time"))
    var interval = TimeSpan(milliseconds: 1_000)
    @Option(
        help: ArgumentHelp("Show this many of the namespace's hottest prefixes instead.", valueName: "count")
    )
    var hot: Int?
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard interval.milliseconds >= 100 else { throw ValidationError("--interval is at least 100ms.") }
        guard let hot else { return }
        guard (1...10_000).contains(hot) else { throw ValidationError("--hot is 1 to 10000.") }
        guard namespace != nil, !watch else { throw ValidationError("--hot needs --ns, and has no --watch.") }
    }

    func run() async throws {
        try await node.withNode { node in
            let namespace = try await namespace?.resolve(node)
            if let hot, let namespace {
                let prefixes = try await node.hot(namespace, limit: hot)
                try output.print(
                    HotPrefixReport(namespace: namespace, prefixes: prefixes).report(output.output)
                )
            } else {
                try await showFigures(node, namespace)
            }
        }
    }

    private func showFigures(_ node: LarderAdmin, _ namespace: NamespaceID?) async throws {
        var before: (figures: Figures, at: ContinuousClock.Instant)?
        let clock = ContinuousClock()
        repeat {
            let figures = Figures(try await node.stats(namespace))
            let now = clock.now
            let earlier = before.map { ($0.figures, (now - $0.at) / .seconds(1)) }
            try show(figures, earlier: earlier)
            before = (figures, now)
            if watch { try await Task.sleep(for: interval.duration) }
        } while watch
    }

    private func show(_ figures: Figures, earlier: (Figures, Double)?) throws(CommandFailure) {
        switch output.output {
        case .json: try StandardStreams.output(figures.json.pretty)
        case .jsonl: try StandardStreams.output(figures.json.compact)
        case .table:
            // On a terminal a watch starts at the top of a cleared screen.
            let clear = watch && StandardStreams.outputIsTerminal ? "\u{1b}[H\u{1b}[2J" : ""
            let report = watch ? figures.report(earlier: earlier) : figures.report
            try StandardStreams.output(clear + report.render(.table))
        }
    }
}
