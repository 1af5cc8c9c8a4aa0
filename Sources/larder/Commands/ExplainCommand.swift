internal import ArgumentParser
internal import LarderClient

/// `larder explain KEY...`.
struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Say where blocks are, or why they are not there.",
        discussion: """
            For each key: in memory, on disk, or absent because it was never seen, evicted, expired, deleted, \
            replaced or damaged. A node remembers the reasons of its latest removals only.

              larder explain --ns @namespace.json hex:dc918a88
            """
    )

    @OptionGroup var node: NodeOptions
    @OptionGroup var namespace: NamespaceOptions
    @OptionGroup var keys: KeyOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let keys = try keys.resolve()
        let explanations = try await node.withNode { node in
            let namespace = try await namespace.resolve(node)
            var explanations: [String] = []
            for batch in keys.batches { explanations += try await node.explain(namespace, keys: batch) }
            return explanations
        }
        let report = Report(
            columns: [.init("key"), .init("explanation")],
            rows: zip(keys, explanations).map { [.text($0.text), .text($1)] }
        )
        try output.print(report)
    }
}
