internal import ArgumentParser
internal import LarderClient

/// `larder pin KEY...`.
struct PinCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pin",
        abstract: "Keep blocks from being evicted.",
        discussion: """
              larder pin --ns @namespace.json --ttl 2h hex:dc918a88 hex:3af78d9d

            Pins hold for --ttl, or until 'larder unpin'. They take at most half of a tier; beyond that a pin is \
            refused. Exits 1 when a key is absent or refused.
            """
    )

    @OptionGroup var node: NodeOptions
    @OptionGroup var namespace: NamespaceOptions
    @OptionGroup var keys: KeyOptions
    @Option(
        help: ArgumentHelp("How long the pin holds; without it, until 'larder unpin'.", valueName: "time")
    )
    var ttl: TimeSpan?

    func run() async throws {
        let keys = try keys.resolve()
        let count = try await node.withNode { node in
            let namespace = try await namespace.resolve(node)
            var count = 0
            for batch in keys.batches {
                count += try await node.pin(namespace, keys: batch, timeToLive: ttl?.duration)
            }
            return count
        }
        try StandardStreams.output("\(count) of \(keys.count) pinned")
        guard count == keys.count else { throw ExitCode(ExitStatus.negative.rawValue) }
    }
}

/// `larder unpin KEY...`.
struct UnpinCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unpin",
        abstract: "Let pinned blocks be evicted again.",
        discussion: """
              larder unpin --ns @namespace.json hex:dc918a88 hex:3af78d9d

            Exits 1 when a key is absent.
            """
    )

    @OptionGroup var node: NodeOptions
    @OptionGroup var namespace: NamespaceOptions
    @OptionGroup var keys: KeyOptions

    func run() async throws {
        let keys = try keys.resolve()
        let count = try await node.withNode { node in
            let namespace = try await namespace.resolve(node)
            var count = 0
            for batch in keys.batches { count += try await node.unpin(namespace, keys: batch) }
            return count
        }
        try StandardStreams.output("\(count) of \(keys.count) unpinned")
        guard count == keys.count else { throw ExitCode(ExitStatus.negative.rawValue) }
    }
}
