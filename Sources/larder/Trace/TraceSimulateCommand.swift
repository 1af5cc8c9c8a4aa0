internal import ArgumentParser
internal import Eviction
internal import TraceReplay

/// `larder trace simulate FILE`.
struct TraceSimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Tell the hit ratio of each eviction policy on a trace, by size of the cache.",
        discussion: """
            FILE has a JSON object a line, one request each, in their order. Only hash_ids is looked at: names of the \
            request's blocks as whole numbers, first block first, where equal names mean the same block behind the \
            same prefix, as in the traces published with Mooncake:

              {"timestamp": 27000, "input_length": 1055, "output_length": 52, "hash_ids": [46, 47, 2158]}

            A block is a hit while it and all before it in its request are held. Nothing runs but the policies, so an \
            hour of requests takes seconds:

              larder trace simulate trace.jsonl
              larder trace simulate trace.jsonl --policy lru,forecast --blocks 5000,50000
              larder trace simulate trace.jsonl --puts head-first --output json

            How many blocks a node has: its --memory by the bytes of a block ('larder stats' tells both). Choose a \
            policy with 'larder serve --memory-policy'.

            RATIOS are per cent of all blocks asked for. 'optimum' knows the future (Belady's MIN with bypass) and is \
            what remains to be gained; 'endless' never evicts. NS is the mean cost of one block in nanoseconds, the \
            simulator's own work included.

            POLICIES: \(EvictionPolicyName.list).
            """
    )

    @Argument(help: "The trace; - is standard input.")
    var file: String

    @Option(help: ArgumentHelp("Policies, separated by commas; all without it.", valueName: "list"))
    var policy: BenchList<EvictionPolicyName> = BenchList(EvictionPolicyName.allCases)

    @Option(help: ArgumentHelp("Sizes of the cache in blocks, separated by commas.", valueName: "list"))
    var blocks: BenchList<Int> = BenchList([1_000, 2_000, 5_000, 10_000, 20_000, 50_000])

    @Option(
        help: ArgumentHelp(
            "Whether a request's missing blocks are put tail-first or, as engines do, head-first.",
            valueName: "order"
        )
    )
    var puts = PutOrder.tailFirst

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard blocks.values.allSatisfy({ (1...100_000_000).contains($0) }) else {
            throw ValidationError("--blocks is 1 to 100000000")
        }
    }

    func run() async throws {
        let trace = try TraceFile.read(file).trace
        var simulation = TraceSimulation(trace, policies: policy.values, capacities: blocks.values, puts)
        try output.print(simulation.run())
        if output.output == .table {
            let requests = Report.Cell.integer(trace.requestCount).text
            let blocks = Report.Cell.integer(trace.blocks.count).text
            let unique = Report.Cell.integer(trace.uniqueBlockCount).text
            StandardStreams.error("\(requests) requests, \(blocks) blocks, \(unique) of them different")
        }
    }
}

extension EvictionPolicyName: ExpressibleByArgument {}
extension PutOrder: ExpressibleByArgument {}
