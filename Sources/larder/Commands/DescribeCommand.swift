internal import ArgumentParser
internal import Blocks
internal import Engine

/// `larder describe`.
struct DescribeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe",
        abstract: "Print a namespace's identifier: of a description, or of the worker's engine.",
        discussion: """
            A namespace is named by the SHA-256 of its description, canonical JSON (RFC 8785), so every node and every \
            client gives it the same name. Nothing is sent to a node.

              larder describe '{"model":"m","dtype":"bfloat16","tokens_per_block":16}'
              larder describe @namespace.json
              larder describe --seed 1 --block-tokens 16      # what 'larder worker' with these options stores
            """
    )

    @Argument(help: "A JSON object, or @FILE with one; without it, the namespace of the worker's engine.")
    var description: String?
    @OptionGroup(title: "Engine, without a description") var engine: WorkerEngineOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let description = try read()
        let report = Report(
            columns: [.init("ns"), .init("description")],
            rows: [
                [
                    .text(description.id.description),
                    .text(String(decoding: description.canonicalBytes, as: UTF8.self)),
                ]
            ]
        )
        try output.print(report)
    }

    private func read() throws -> NamespaceDescription {
        guard let description else { return try engine.makeEngine().namespaceDescription() }
        let text =
            description.hasPrefix("@") ? try InputFile.text(at: String(description.dropFirst())) : description
        return try NamespaceArgument.parse(text)
    }
}
