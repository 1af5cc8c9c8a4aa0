internal import ArgumentParser
internal import Blocks
internal import LarderClient

/// `larder trace replay FILE`.
struct TraceReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract:
            "Send a trace's requests to a node as engines would, and prove what comes back.",
        discussion: """
            FILE has a JSON object a line, one request each, as for 'larder trace simulate'; a block is 512 tokens. \
            Each request is a KV.MATCH of all its blocks with a lease, a load of those that the node holds, and a \
            store of the rest:

              larder trace replay trace.jsonl
              larder trace replay trace.jsonl --requests 1000 --block-size 1MiB --clients 4
              larder trace replay trace.jsonl --speed 10 --output json
              larder trace replay trace.jsonl --node unix:/run/larder/node.sock

            Without --speed each of --clients makes the next request when its last is done, which shows what the node \
            can do. With --speed requests come at the trace's timestamps, so many times as fast, whether or not the \
            node keeps up, which shows how long they take under such a load; a request that has to wait for one of \
            --clients is late, and that counts.

            What a block holds is made from its name, and is the same in every run. A run has a namespace of its own, \
            which is emptied at the end. To meet what another run has stored, for example after a restart of the node:

              larder trace replay trace.jsonl --namespace monday --keep
              larder trace replay trace.jsonl --namespace monday

            FIGURES: hits are blocks that were matched and loaded, from the first of a request up to the first that \
            was not. An endless cache has whatever any earlier request asked for; more than one client at once, or \
            --speed, may ask before an earlier request has stored, and hit less. GB are 1e9 bytes, over the whole \
            run. A request's latency is its match, load and store, without what it takes to make and compare \
            payloads. Blocks existed but failed when they were matched under a lease and then not loaded.

            Ctrl-C ends the run with the figures so far. Exits 1 when bytes were wrong, blocks existed but failed, or \
            calls to the node failed. A store that the node refuses is told and no failure.
            """
    )

    @Argument(help: "The trace; - is standard input.")
    var file: String

    @OptionGroup var node: NodeOptions

    @Option(help: ArgumentHelp("Bytes of a block.", valueName: "size"))
    var blockSize = ByteCount(bytes: 64 << 10)

    @Option(help: ArgumentHelp("Only the first requests of the trace.", valueName: "count"))
    var requests: Int?

    @Option(help: ArgumentHelp("Most requests at once. (default: 1; 64 with --speed)", valueName: "count"))
    var clients: Int?

    @Option(help: ArgumentHelp("Keep to the timestamps, so many times as fast.", valueName: "factor"))
    var speed: Double?

    @Option(
        help: ArgumentHelp(
            "Meet the blocks of runs with this name. (default: a fresh one)",
            valueName: "name"
        )
    )
    var namespace: String?

    @Flag(help: "Leave the stored blocks on the node.")
    var keep = false

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (ReplayPayloads.byteCountMin...Limits.payloadByteCountMax).contains(blockSize.bytes) else {
            throw ValidationError("--block-size is 8 B to 512 MiB")
        }
        guard requests.map({ $0 >= 1 }) ?? true else { throw ValidationError("--requests is at least 1") }
        guard (1...1_024).contains(clients ?? 1) else { throw ValidationError("--clients is 1 to 1024") }
        guard speed.map({ $0 > 0 && $0 <= 1e6 }) ?? true else {
            throw ValidationError("--speed is more than 0, at most 1000000")
        }
        guard namespace.map({ !$0.isEmpty }) ?? true else { throw ValidationError("--namespace is a name") }
    }

    func run() async throws {
        let plan = try ReplayPlan(
            TraceFile.read(file),
            path: file,
            requestCountMax: requests,
            blockByteCount: blockSize.bytes,
            clientCount: clients,
            speed: speed
        )
        let description = try ReplayNamespace.description(
            name: namespace ?? ReplayNamespace.freshName(),
            blockByteCount: blockSize.bytes
        )
        let outcome = try await replay(plan, description)
        try output.print(ReplayReport.report(outcome, output.output))
        for line in outcome.notes + outcome.faults { StandardStreams.error("larder: \(line)") }
        guard outcome.faults.isEmpty else { throw ExitCode(ExitStatus.negative.rawValue) }
    }

    private func replay(_ plan: ReplayPlan, _ description: NamespaceDescription) async throws -> ReplayOutcome
    {
        // A node that is away or refuses is told now, for the engine's face of the client makes it misses.
        try await node.withNode { node in _ = try await node.describe(description) }
        let client = LarderClient(try configuration(plan))
        defer { client.close() }
        let signals = TerminationSignals()
        let run = ReplayRun(plan, client, client.describe(description), lease: lease)
        let outcome = await run.run(until: signals.first)
        if !keep { await clear(description) }
        return withExtendedLifetime(signals) { outcome }
    }

    private func clear(_ description: NamespaceDescription) async {
        do {
            try await node.withNode { node in
                let id = try await node.describe(description)
                _ = try await node.clear(id, timeout: max(self.node.timeout.duration, .seconds(60)))
            }
        } catch {
            StandardStreams.error("larder: what was stored is still there: \(error)")
        }
    }

    private func configuration(_ plan: ReplayPlan) throws(CommandFailure) -> LarderClientConfiguration {
        var configuration = try node.configuration()
        configuration.connectionCount = min(64, 3 + plan.clientCount)
        configuration.lookupTimeout = node.timeout.duration
        configuration.loadTimeout = node.timeout.duration
        configuration.storeTimeout = node.timeout.duration
        configuration.pendingCallCountMax = 16_384
        return configuration
    }

    /// Longer than a match and a load may take together.
    private var lease: Duration {
        min(.milliseconds(Limits.leaseMillisecondsMax), node.timeout.duration * 10)
    }
}
