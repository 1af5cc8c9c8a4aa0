internal import ArgumentParser
internal import Blocks
internal import RESP

/// `larder put KEY FILE`.
struct PutCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put",
        abstract: "Store one block.",
        discussion: """
            The payload is the whole FILE, 1 byte to 512 MiB; - is standard input.

              larder put --ns @namespace.json hex:dc918a88 block.bin --tokens 16 --durable
              larder put greeting - <<< hello

            Blocks of a namespace are immutable: the same key with the same bytes is 'exists', with other bytes it \
            is refused. Without --ns the key is a plain Redis key, and a put replaces. --durable answers after the \
            block is safe on disk. Exits 1 when the block is refused.
            """
    )

    @OptionGroup var node: NodeOptions
    @OptionGroup var place: PlaceOptions
    @Argument(help: "The key: text, or hex: and hexadecimal digits.")
    var key: BlockKeyArgument
    @Argument(help: "The file with the payload; - is standard input.")
    var file: String
    @Option(help: ArgumentHelp("Time until the block expires; without it, never.", valueName: "time"))
    var ttl: TimeSpan?
    @Option(
        help: ArgumentHelp("Tokens whose keys and values the block holds. (with --ns)", valueName: "count")
    )
    var tokens: Int?
    @Flag(help: "Keep the block until it is unpinned or expires. (with --ns)")
    var pin = false
    @Flag(help: "Answer only when the block is safe on disk. (with --ns)")
    var durable = false

    func validate() throws {
        guard place.namespace != nil || (tokens == nil && !pin && !durable) else {
            throw ValidationError("--tokens, --pin and --durable need --ns.")
        }
        guard tokens.map({ (0...Int(UInt32.max)).contains($0) }) ?? true else {
            throw ValidationError("--tokens is 0 to \(UInt32.max).")
        }
    }

    func run() throws {
        let payload = try InputFile.bytes(at: file)
        guard (1...Limits.payloadByteCountMax).contains(payload.count) else {
            throw CommandFailure(.usage, "\(file) has \(payload.count) bytes; a block has 1 to 536870912")
        }
        let connection = try node.connect()
        let outcome = try store(payload, connection)
        try StandardStreams.output(outcome)
        guard ["stored", "exists"].contains(outcome) else { throw ExitCode(ExitStatus.negative.rawValue) }
    }

    private func store(_ payload: [UInt8], _ connection: NodeConnection) throws(CommandFailure) -> String {
        guard let namespace = try place.identifier(connection) else {
            let options = ttl.map { ["PX", String($0.milliseconds)] } ?? []
            _ = try connection.call([Array("SET".utf8), key.bytes, payload] + options.map { Array($0.utf8) })
            return "stored"
        }
        var options: [String] = []
        if let ttl { options += ["TTL", String(ttl.milliseconds)] }
        if let tokens { options += ["TOKENS", String(tokens)] }
        if pin { options.append("PIN") }
        if durable { options.append("DURABLE") }
        let head = [Array("KV.PUT".utf8), namespace] + (options + ["BLOCKS", "1"]).map { Array($0.utf8) }
        let reply = try connection.call(head + [key.bytes, payload])
        guard let outcome = reply.elements?.first?.text ?? reply.text else {
            throw CommandFailure(.software, "KV.PUT gave an unexpected reply")
        }
        return outcome
    }
}
