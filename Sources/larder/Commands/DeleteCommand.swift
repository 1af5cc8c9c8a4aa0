internal import ArgumentParser
internal import LarderClient

/// `larder delete KEY...`.
struct DeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Delete blocks, or a whole namespace.",
        discussion: """
              larder delete --ns @namespace.json hex:dc918a88 hex:3af78d9d
              larder delete --ns @namespace.json --all

            Says how many blocks were there; exits 1 when none was.
            """
    )

    @OptionGroup var node: NodeOptions
    @OptionGroup var namespace: NamespaceOptions
    @OptionGroup var keys: KeyOptions
    @Flag(help: "Delete every block of the namespace.")
    var all = false

    func validate() throws {
        let hasKeys = !keys.keys.isEmpty || keys.keysFrom != nil
        guard all != hasKeys else { throw ValidationError("Give either keys or --all.") }
    }

    func run() async throws {
        let count = try await node.withNode { node in
            let namespace = try await namespace.resolve(node)
            if all { return try await node.clear(namespace) }
            var count = 0
            for batch in try keys.resolve().batches { count += try await node.delete(namespace, keys: batch) }
            return count
        }
        try StandardStreams.output("\(count) deleted")
        guard count > 0 else { throw ExitCode(ExitStatus.negative.rawValue) }
    }
}
