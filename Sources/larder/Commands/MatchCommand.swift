internal import ArgumentParser
internal import LarderClient

/// `larder match KEY...`.
struct MatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "match",
        abstract: "Say how many leading keys of a prefix a node holds, and in which tier.",
        discussion: """
            Keys are text, or hex: and hexadecimal digits, in the order of the prefix; a hole ends the match, as it \
            does for an engine.

              larder match --ns @namespace.json hex:dc918a88 hex:3af78d9d
              larder match --ns '{"model":"m"}' --keys-from keys.txt --prefetch

            Exits 0 when all keys are held, 1 otherwise.
            """
    )

    @OptionGroup var node: NodeOptions
    @OptionGroup var namespace: NamespaceOptions
    @OptionGroup var keys: KeyOptions
    @Flag(help: "Have the node bring what is on disk into RAM.")
    var prefetch = false
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let keys = try keys.resolve()
        let tiers = try await node.withNode { node in
            try await node.tiers(namespace.resolve(node), keys, prefetches: prefetch)
        }
        let report = Report(
            columns: [.init("key"), .init("held"), .init("tier")],
            rows: keys.enumerated().map { index, key in
                let isHeld = index < tiers.count
                return [.text(key.text), .bool(isHeld), isHeld ? .text(tiers[index].rawValue) : .absent]
            }
        )
        try output.print(report)
        if output.output == .table { StandardStreams.error("\(tiers.count) of \(keys.count) keys matched") }
        guard tiers.count == keys.count else { throw ExitCode(ExitStatus.negative.rawValue) }
    }
}
