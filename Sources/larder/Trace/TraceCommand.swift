internal import ArgumentParser

/// `larder trace`.
struct TraceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace",
        abstract: "Learn from recorded requests what a cache would have done.",
        discussion: """
            A trace has one request a line, with the blocks that it asked for. To see which policy suits it:

              larder trace simulate conversations.jsonl
            """,
        subcommands: [TraceSimulateCommand.self]
    )
}
