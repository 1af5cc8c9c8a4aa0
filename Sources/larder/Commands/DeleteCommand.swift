internal import ArgumentParser
internal import RESP

/// `larder delete KEY...`.
struct DeleteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Delete blocks, or a whole namespace.",
        discussion: """
              larder delete --ns @namespace.json hex:dc918a88 hex:3af78d9d
              larder delete --ns @namespace.json --all
              larder delete plain-redis-key

            Says how many blocks were there; exits 1 when none was.
            """
    )

    @OptionGroup var node: NodeOptions
    @OptionGroup var place: PlaceOptions
    @OptionGroup var keys: KeyOptions
    @Flag(help: "Delete every block of the namespace.")
    var all = false

    func validate() throws {
        let hasKeys = !keys.keys.isEmpty || keys.keysFrom != nil
        guard all != hasKeys else { throw ValidationError("Give either keys or --all.") }
        guard !all || place.namespace != nil else { throw ValidationError("--all needs --ns.") }
    }

    func run() throws {
        let connection = try node.connect()
        let count = try all ? clear(connection) : delete(keys.resolve().map(\.bytes), connection)
        try StandardStreams.output("\(count) deleted")
        guard count > 0 else { throw ExitCode(ExitStatus.negative.rawValue) }
    }

    private func clear(_ connection: NodeConnection) throws(CommandFailure) -> Int64 {
        guard let namespace = try place.identifier(connection) else { return 0 }
        return try connection.call([Array("KV.CLEAR".utf8), namespace]).integer ?? 0
    }

    private func delete(_ keys: [[UInt8]], _ connection: NodeConnection) throws(CommandFailure) -> Int64 {
        guard let namespace = try place.identifier(connection) else {
            return try connection.call([Array("DEL".utf8)] + keys).integer ?? 0
        }
        return try connection.inBatches("KV.DEL", namespace, keys).reduce(0) { $0 + ($1.integer ?? 0) }
    }
}
