internal import ArgumentParser
internal import RESP

/// `larder explain KEY...`.
struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Say where blocks are, or why they are not there.",
        discussion: """
            For each key: in memory, on disk, or absent because it was never seen, evicted, expired, deleted, \
            replaced or damaged. A node remembers the reasons of the last removals only.

              larder explain --ns @namespace.json hex:dc918a88
            """
    )

    @OptionGroup var node: NodeOptions
    @OptionGroup var namespace: NamespaceOptions
    @OptionGroup var keys: KeyOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let keys = try keys.resolve()
        let connection = try node.connect()
        let replies = try connection.inBatches(
            "KV.EXPLAIN",
            namespace.identifier(connection),
            keys.map(\.bytes)
        )
        guard replies.count == keys.count else {
            throw CommandFailure(.software, "KV.EXPLAIN gave an unexpected reply")
        }
        let report = Report(
            columns: [.init("key"), .init("explanation")],
            rows: zip(keys, replies).map { [.text($0.text), .text($1.text ?? "")] }
        )
        try output.print(report)
    }
}
