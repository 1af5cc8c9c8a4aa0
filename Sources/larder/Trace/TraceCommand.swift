internal import ArgumentParser

/// `larder trace`.
struct TraceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace",
        abstract: "Learn from recorded requests what a cache would have done, and what a node does.",
        discussion: """
            A trace has one request a line, with the blocks that it asked for. To see which policy suits it:

              larder trace simulate conversations.jsonl

            To send it to a node, as engines would:

              larder trace replay conversations.jsonl
            """,
        subcommands: [TraceSimulateCommand.self, TraceReplayCommand.self]
    )
}
