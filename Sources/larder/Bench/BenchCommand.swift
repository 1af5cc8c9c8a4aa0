internal import ArgumentParser

/// `larder bench`.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure servers side by side, a node's shared memory, or the codecs of the disk tier.",
        discussion: """
              larder bench --op get --size 2MiB --inflight 1,4
              larder bench --op get,set --versus 127.0.0.1:6379
              larder bench shared --unix node.sock
              larder bench bare --port 7400
              larder bench codec --dtype bfloat16
              larder bench placement

            Options without a subcommand are those of server; larder bench server --help tells them.
            """,
        subcommands: [
            ServerBenchCommand.self, SharedBenchCommand.self, CodecBenchCommand.self,
            PlacementBenchCommand.self,
            BareServerCommand.self,
        ],
        defaultSubcommand: ServerBenchCommand.self
    )
}
