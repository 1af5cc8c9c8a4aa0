internal import ArgumentParser
internal import Foundation
internal import RESP

/// `larder get KEY`.
struct GetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Read one block.",
        discussion: """
            Writes the payload's bytes, unchanged, to standard output or to --to FILE.

              larder get --ns @namespace.json hex:dc918a88 --to block.bin
              larder get plain-redis-key | xxd | head

            Without --ns the key is a plain Redis key of database --db. Exits 1 when the key is absent; \
            'larder explain' says why.
            """
    )

    @OptionGroup var node: NodeOptions
    @OptionGroup var place: PlaceOptions
    @Argument(help: "The key: text, or hex: and hexadecimal digits.")
    var key: BlockKeyArgument
    @Option(help: ArgumentHelp("Write the payload to this file.", valueName: "file"))
    var to: String?

    func run() throws {
        guard to != nil || !StandardStreams.outputIsTerminal else {
            throw CommandFailure(
                .usage,
                "a block is binary: give --to FILE, or send the output into another program"
            )
        }
        let connection = try node.connect()
        guard let payload = try read(connection) else {
            throw CommandFailure(.negative, "no block with key \(key.text)")
        }
        guard let to else { return try StandardStreams.output(bytes: payload) }
        do {
            try Data(payload).write(to: URL(filePath: to), options: .atomic)
        } catch {
            throw CommandFailure(.inputOutput, "cannot write \(to): \(error.localizedDescription)")
        }
    }

    private func read(_ connection: NodeConnection) throws(CommandFailure) -> [UInt8]? {
        let reply: Reply? =
            if let namespace = try place.identifier(connection) {
                try connection.keys("KV.GET", namespace, [key.bytes]).first
            } else {
                try connection.call([Array("GET".utf8), key.bytes])
            }
        switch reply {
        case .bulk(let payload): return payload
        case .null: return nil
        default: throw CommandFailure(.software, "the node gave neither bytes nor nothing")
        }
    }
}
