internal import ArgumentParser
internal import Blocks
internal import LarderClient

/// `larder top`.
struct TopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Watch a cluster, or one node, live.",
        discussion: """
              larder top                                     until q or Ctrl-C
              larder top --node 10.0.0.2:7379 --interval 5s
              larder top --ns @namespace.json --hot 10       with the prefixes that are asked for most
              larder top --once --output json                one look, for programs

            The node at --node tells who is in its cluster; then every node is asked for its own figures. REQ/S, IN, OUT \
            and hits are of the time between two looks, latencies of the last ten seconds or so: from when a request \
            was whole until its reply was queued. A node that does not answer keeps its last figures, and is \
            'down' when the cluster says so, otherwise 'silent'. What one node reads or matches for another counts on both.
            """
    )

    @OptionGroup var node: NodeOptions
    @Option(help: ArgumentHelp("Time between two looks.", valueName: "time"))
    var interval = TimeSpan(milliseconds: 1_000)
    @Flag(help: "Look twice, an interval apart, print what was found, and end.")
    var once = false
    @Option(
        name: .customLong("ns"),
        help: ArgumentHelp(
            "Show this namespace's hottest prefixes: 64 hexadecimal digits, its JSON description, or @FILE.",
            valueName: "namespace"
        )
    )
    var namespace: NamespaceArgument?
    @Option(help: ArgumentHelp("With --ns: how many prefixes.", valueName: "count"))
    var hot: Int?
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (100...3_600_000).contains(interval.milliseconds) else {
            throw ValidationError("--interval is 100ms to 1h.")
        }
        guard let hot else { return }
        guard (1...1_000).contains(hot) else { throw ValidationError("--hot is 1 to 1000.") }
        guard namespace != nil else { throw ValidationError("--hot needs --ns.") }
    }

    func run() async throws {
        // The first question is asked as every command asks it: what is wrong is said in its words.
        let namespace = try await node.withNode { node in
            _ = try await node.stats()
            return try await self.namespace?.resolve(node)
        }
        let watch = TopWatch(
            configuration: try node.configuration(),
            wish: TopSource.Wish(hot: namespace.map { ($0, hot ?? 5) }),
            interval: interval,
            timeout: node.timeout,
            output: output.output
        )
        if once { try await watch.lookOnce() } else { try await watch.untilStopped() }
    }
}
