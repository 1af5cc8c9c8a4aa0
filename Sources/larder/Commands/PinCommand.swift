internal import ArgumentParser
internal import RESP

/// `larder pin KEY...`.
struct PinCommand: ParsableCommand {
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
    @OptionGroup var output: OutputOptions

    func run() throws {
        let options = ttl.map { ["TTL", String($0.milliseconds)] } ?? []
        try PinChange(verb: "KV.PIN", word: "pinned", options: options)
            .run(node, namespace, keys, output)
    }
}

/// `larder unpin KEY...`.
struct UnpinCommand: ParsableCommand {
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
    @OptionGroup var output: OutputOptions

    func run() throws {
        try PinChange(verb: "KV.UNPIN", word: "unpinned", options: []).run(node, namespace, keys, output)
    }
}

/// What pinning and unpinning share: a verb over keys that answers yes or no for each.
private struct PinChange {
    let verb: String
    let word: String
    let options: [String]

    func run(_ node: NodeOptions, _ namespace: NamespaceOptions, _ keys: KeyOptions, _ output: OutputOptions)
        throws
    {
        let keys = try keys.resolve()
        let connection = try node.connect()
        let replies = try connection.inBatches(
            verb,
            namespace.identifier(connection),
            options: options,
            keys.map(\.bytes)
        )
        guard replies.count == keys.count else {
            throw CommandFailure(.software, "\(verb) gave an unexpected reply")
        }
        let report = Report(
            columns: [.init("key"), .init(word)],
            rows: zip(keys, replies).map { [.text($0.text), .bool($1.integer == 1)] }
        )
        try output.print(report)
        guard replies.allSatisfy({ $0.integer == 1 }) else { throw ExitCode(ExitStatus.negative.rawValue) }
    }
}
