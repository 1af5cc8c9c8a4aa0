internal import ArgumentParser
internal import Blocks
internal import LarderClient

/// `larder put KEY FILE`.
struct PutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put",
        abstract: "Store one block.",
        discussion: """
            The payload is the whole FILE, 1 byte to 512 MiB; - is standard input.

              larder put --ns @namespace.json hex:dc918a88 block.bin --tokens 16 --durable
              larder put --ns '{"model":"m"}' first - <<< hello

            Blocks are immutable: the same key with the same bytes 'exists', with other bytes it is refused. \
            --durable answers after the block is safe on disk. Exits 1 when the block is refused.
            """
    )

    @OptionGroup var node: NodeOptions
    @OptionGroup var namespace: NamespaceOptions
    @Argument(help: "The key: text, or hex: and hexadecimal digits.")
    var key: BlockKeyArgument
    @Argument(help: "The file with the payload; - is standard input.")
    var file: String
    @Option(help: ArgumentHelp("Time until the block expires; without it, never.", valueName: "time"))
    var ttl: TimeSpan?
    @Option(help: ArgumentHelp("Tokens whose keys and values the block holds.", valueName: "count"))
    var tokens = 0
    @Flag(help: "Keep the block from being evicted.")
    var pin = false
    @Flag(help: "Answer only when the block is safe on disk.")
    var durable = false

    func validate() throws {
        guard (0...Int(UInt32.max)).contains(tokens) else {
            throw ValidationError("--tokens is 0 to \(UInt32.max).")
        }
    }

    func run() async throws {
        let payload = try InputFile.bytes(at: file)
        guard (1...Limits.payloadByteCountMax).contains(payload.count) else {
            throw CommandFailure(
                .usage,
                "\(file) has \(payload.count) bytes; a block has 1 to \(Limits.payloadByteCountMax)"
            )
        }
        let options = StoreOptions(
            tokenCount: tokens,
            timeToLive: ttl?.duration,
            isDurable: durable,
            isPinned: pin
        )
        let outcomes = try await node.withNode { node in
            try await node.store(
                namespace.resolve(node),
                keys: KeyBatch([key.key]),
                payloads: [payload],
                options: options
            )
        }
        switch outcomes.first {
        case .stored: try StandardStreams.output("stored")
        case .exists: try StandardStreams.output("exists")
        case .refused(let reason): throw CommandFailure(.negative, "refused: \(reason)")
        case nil: throw CommandFailure(.software, "the node did not say what became of the block")
        }
    }
}
