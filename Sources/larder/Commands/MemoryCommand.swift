internal import ArgumentParser
internal import Blocks
internal import MemoryTier
internal import Node

/// `larder memory`.
struct MemoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "memory",
        abstract: "Show the memory that nodes keep for their next start, and give it back.",
        discussion: """
            A node with a data directory keeps its RAM tier in a file in memory when it ends: an upgraded or crashed node \
            has its blocks back at once. Until the node starts again, or the host does, that memory is taken.

              larder memory list
              larder memory remove /dev/shm/larder-1000-0123456789abcdef
              larder memory remove --unused
            """,
        subcommands: [MemoryListCommand.self, MemoryRemoveCommand.self]
    )

    /// The files of this user in /dev/shm.
    static var files: [MemoryFileInventory.Item] {
        MemoryFileInventory.list(in: MemoryFileChoice.folder, prefix: MemoryFileChoice.namePrefix)
    }
}

/// `larder memory list`.
struct MemoryListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List this user's memory files in /dev/shm.",
        discussion: """
              larder memory list
              larder memory list --output jsonl
            """
    )

    @OptionGroup var output: OutputOptions

    func run() throws {
        try output.print(
            Report(
                columns: [.init("path"), .init("bytes"), .init("data_dir"), .init("in_use")],
                rows: MemoryCommand.files.map { file in
                    [
                        .text(file.path), .integer(file.byteCount), file.owner.map { .text($0) } ?? .absent,
                        .text(file.isInUse ? "yes" : "no"),
                    ]
                }
            )
        )
    }
}

/// `larder memory remove`.
struct MemoryRemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract:
            "Give back the memory of files that no node uses; those nodes start with an empty RAM tier.",
        discussion: """
            Exits 0 when all named files are gone, 1 when one of them was not there.

              larder memory remove /dev/shm/larder-1000-0123456789abcdef
              larder memory remove --unused
            """
    )

    @Argument(help: "Memory files, as 'larder memory list' shows them.")
    var paths: [String] = []
    @Flag(help: "All of this user's files in /dev/shm that no node uses.")
    var unused = false

    func validate() throws {
        guard unused != !paths.isEmpty else { throw ValidationError("Name files, or say --unused.") }
    }

    func run() throws {
        var isMissing = false
        for path in unused ? MemoryCommand.files.filter({ !$0.isInUse }).map(\.path) : paths {
            guard let item = try Self.remove(path) else {
                StandardStreams.error("larder: \(path) is not there")
                isMissing = true
                continue
            }
            try StandardStreams.output("removed \(path), \(ByteCount(bytes: item.byteCount))\n")
        }
        if isMissing { throw ExitCode(ExitStatus.negative.rawValue) }
    }

    private static func remove(_ path: String) throws(CommandFailure) -> MemoryFileInventory.Item? {
        do throws(CacheError) {
            return try MemoryFileInventory.remove(path)
        } catch {
            throw CommandFailure(error.code == .invalidArgument ? .usage : .unavailable, error.message)
        }
    }
}
