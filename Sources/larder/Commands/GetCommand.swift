internal import ArgumentParser
internal import Blocks
internal import Foundation
internal import LarderClient

/// `larder get KEY`.
struct GetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Read one block.",
        discussion: """
            Writes the payload's bytes, unchanged, to standard output or to --to FILE.

              larder get --ns @namespace.json hex:dc918a88 --to block.bin
              larder get --ns '{"model":"m"}' first | xxd | head

            Exits 1 when the key is absent; 'larder explain' says why. Plain Redis keys are read by redis-cli.
            """
    )

    @OptionGroup var node: NodeOptions
    @OptionGroup var namespace: NamespaceOptions
    @Argument(help: "The key: text, or hex: and hexadecimal digits.")
    var key: BlockKeyArgument
    @Option(help: ArgumentHelp("Write the payload to this file.", valueName: "file"))
    var to: String?

    func run() async throws {
        guard to != nil || !StandardStreams.outputIsTerminal else {
            throw CommandFailure(
                .usage,
                "a block is binary: give --to FILE, or send the output into another program"
            )
        }
        let payload = try await node.withNode { node in
            try await node.load(namespace.resolve(node), keys: KeyBatch([key.key]))[0]
        }
        guard let payload else { throw CommandFailure(.negative, "no block with key \(key.text)") }
        guard let to else { return try StandardStreams.output(bytes: payload) }
        do {
            try Data(payload).write(to: URL(filePath: to), options: .atomic)
        } catch {
            throw CommandFailure(.inputOutput, "cannot write \(to): is its directory there and writable?")
        }
    }
}
