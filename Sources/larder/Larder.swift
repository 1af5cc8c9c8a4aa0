internal import ArgumentParser

#if canImport(Glibc)
    internal import Glibc
#endif

/// The one executable: a node that keeps KV blocks, and the tools to look into it.
@main
struct Larder: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "larder",
        abstract: "Keeps the KV cache of LLM inference in RAM and on disk, for many workers.",
        discussion: """
            Start a node, then point engines, workers or any Redis client at it:

              larder serve --memory 8GiB --data-dir ./data --disk 100GiB
              larder stats --watch

            Commands that talk to a node find it by --node HOST:PORT or LARDER_NODE \
            (default 127.0.0.1:7379), and give a table, or JSON with --output json.


            """ + ExitStatus.table,
        version: Version.text,
        subcommands: [
            ServeCommand.self, WorkerCommand.self,
            MatchCommand.self, GetCommand.self, PutCommand.self, DeleteCommand.self, PinCommand.self,
            UnpinCommand.self, ExplainCommand.self, DescribeCommand.self,
            WarmCommand.self, StatsCommand.self, TopCommand.self, ClusterCommand.self, MemoryCommand.self,
            DoctorCommand.self,
            BenchCommand.self,
            TraceCommand.self,
            UserCommand.self, CompletionsCommand.self, VersionCommand.self,
        ]
    )

    /// Parses, runs, and ends the process with the status that fits.
    static func main() async {
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let failure as CommandFailure {
            StandardStreams.error("larder: \(failure.description)")
            Glibc.exit(failure.status.rawValue)
        } catch {
            exit(withError: error)
        }
    }
}
