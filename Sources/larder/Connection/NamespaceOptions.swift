internal import ArgumentParser
internal import Blocks
internal import RESP

/// Which namespace a command works in.
struct NamespaceOptions: ParsableArguments {
    @Option(
        name: .customLong("ns"),
        help: ArgumentHelp(
            "Namespace: 64 hexadecimal digits, its JSON description, or @FILE with the description.",
            valueName: "namespace"
        )
    )
    var namespace: String

    /// The namespace's identifier; a description is registered with the node first.
    func identifier(_ connection: NodeConnection) throws(CommandFailure) -> [UInt8] {
        try NamespaceArgument.identifier(namespace, connection)
    }
}

/// A namespace as people write it.
enum NamespaceArgument {
    /// 64 hexadecimal digits for `text`, which is those, a JSON description, or `@FILE` with one.
    static func identifier(_ text: String, _ connection: NodeConnection) throws(CommandFailure) -> [UInt8] {
        if NamespaceID(hexadecimal: text.utf8) != nil { return Array(text.utf8) }
        let description = text.hasPrefix("@") ? try InputFile.text(at: String(text.dropFirst())) : text
        guard description.drop(while: \.isWhitespace).first == "{" else {
            throw CommandFailure(
                .usage,
                "--ns takes 64 hexadecimal digits, a JSON object such as '{\"model\":\"m\"}', or @FILE with one"
            )
        }
        let reply = try connection.call("KV.DESCRIBE", description)
        guard let identifier = reply.text, NamespaceID(hexadecimal: identifier.utf8) != nil else {
            throw CommandFailure(.software, "KV.DESCRIBE gave no namespace identifier")
        }
        return Array(identifier.utf8)
    }
}
