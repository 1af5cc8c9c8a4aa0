internal import ArgumentParser
internal import Blocks
internal import LarderClient

/// `larder warm FILE`.
struct WarmCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "warm",
        abstract: "Bring prefixes into RAM before they are needed.",
        discussion: """
            FILE has a JSON object a line, one prefix each; # begins a comment. A prefix is given by its blocks' keys, \
            which are promoted from disk to RAM, or by a prompt, which the worker's engine computes where blocks are \
            missing:

              {"ns": "548f58d1...", "keys": ["dc918a88...", "3af78d9d..."], "pin": true, "ttl": "2h"}
              {"prompt_file": "system-prompt.txt", "tier": "ram"}

              ns           64 hexadecimal digits, or the namespace's description as an object
              keys         hexadecimal digits, in the order of the prefix
              prompt_file  a prompt, as for 'larder worker'; a path beside FILE
              tier         "ram" (default), or "disk": do not promote
              pin          true: keep the blocks from being evicted
              ttl          how long the pin holds, such as "2h"; without it, until 'larder unpin'

            Before a peak, and to warm a new node like an old one:

              larder warm prefixes.jsonl --dry-run
              larder warm prefixes.jsonl
              larder stats --node old:7379 --hot 100 --ns @namespace.json --output jsonl > hot.jsonl

            Exits 1 when blocks are missing afterwards.
            """
    )

    @Argument(help: "The prefixes; - is standard input.")
    var file: String
    @Flag(name: .shortAndLong, help: "Say what would be done, and do nothing.")
    var dryRun = false
    @Option(help: ArgumentHelp("Longest wait for a prefix to reach RAM.", valueName: "time"))
    var patience = TimeSpan(milliseconds: 60_000)
    @OptionGroup var node: NodeOptions
    @OptionGroup(title: "Engine, for prompts") var engine: WorkerEngineOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let file = try WarmFile(text: InputFile.text(at: file), path: file)
        let results = try await node.withNode { node in try await warm(file.entries, node) }
        try output.print(Self.report(results))
        let missing = results.reduce(0) { $0 + $1.missingCount }
        if output.output == .table { StandardStreams.error(Self.summary(results, missing: missing, dryRun)) }
        guard missing == 0 else { throw ExitCode(ExitStatus.negative.rawValue) }
    }

    private func warm(_ entries: [WarmEntry], _ node: LarderAdmin) async throws -> [WarmResult] {
        let warmer = Warmer(node: node, patience: patience.duration, isDryRun: dryRun)
        let line = ProgressLine()
        var progress = WarmProgress(prefixCount: entries.count)
        var prefiller: Prefiller?
        var results: [WarmResult] = []
        for entry in entries {
            let doneBefore = progress.blocksDone
            let report = { (blocksDone: Int) in
                progress.blocksDone = doneBefore + blocksDone
                line.show(progress.text(elapsedSeconds: line.elapsedSeconds))
            }
            let result: WarmResult
            switch entry.prefix {
            case .keys(let keys, let namespace):
                let id = try await namespace.resolve(node)
                result = try await warmer.warm(entry, keys: keys, namespace: id, prefill: nil, report)
            case .promptFile(let path):
                let prompt = try InputFile.bytes(at: path)
                if prefiller == nil { prefiller = try await makePrefiller() }
                guard let engine = prefiller else { continue }
                let id = try await node.describe(engine.description)
                result = try await warmer.warm(
                    entry,
                    keys: engine.keys(of: prompt),
                    namespace: id,
                    prefill: { try await engine.prefill(prompt) },
                    report
                )
            }
            results.append(result)
            progress.prefixesDone += 1
            progress.blocksDone = doneBefore + result.blockCount - result.missingCount
            line.show(progress.text(elapsedSeconds: line.elapsedSeconds))
        }
        line.finish(progress.text(elapsedSeconds: line.elapsedSeconds))
        await prefiller?.close()
        return results
    }

    private func makePrefiller() async throws -> Prefiller {
        var configuration = try node.configuration()
        configuration.storeTimeout = node.timeout.duration
        configuration.loadTimeout = node.timeout.duration
        configuration.lookupTimeout = node.timeout.duration
        return try await Prefiller(engine, node: configuration)
    }

    private static func report(_ results: [WarmResult]) -> Report {
        Report(
            columns: [
                .init("line", isNumeric: true), .init("blocks", isNumeric: true),
                .init("already_warm", isNumeric: true), .init("promoted", isNumeric: true),
                .init("prefilled", isNumeric: true), .init("pinned", isNumeric: true),
                .init("missing", isNumeric: true),
            ],
            rows: results.map { result in
                [
                    .integer(result.line), .integer(result.blockCount), .integer(result.warmCount),
                    .integer(result.promotedCount), .integer(result.prefilledCount),
                    .integer(result.pinnedCount),
                    .integer(result.missingCount),
                ]
            }
        )
    }

    private static func summary(_ results: [WarmResult], missing: Int, _ isDryRun: Bool) -> String {
        let blocks = results.reduce(0) { $0 + $1.blockCount }
        let done = isDryRun ? "would be warm" : "are warm"
        return
            "\(blocks - missing) of \(blocks) blocks in \(results.count) prefixes \(done), \(missing) missing"
    }
}
