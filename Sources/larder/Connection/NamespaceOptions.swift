internal import ArgumentParser
internal import Blocks
internal import LarderClient

/// Which namespace a command works in.
struct NamespaceOptions: ParsableArguments {
    @Option(
        name: .customLong("ns"),
        help: ArgumentHelp(
            "Namespace: 64 hexadecimal digits, its JSON description, or @FILE with the description.",
            valueName: "namespace"
        )
    )
    var namespace: NamespaceArgument

    /// The namespace's name; a description is registered with the node first.
    func resolve(_ node: LarderAdmin) async throws -> NamespaceID {
        try await namespace.resolve(node)
    }
}

/// A namespace as people write it.
enum NamespaceArgument: ExpressibleByArgument, Sendable {
    case id(NamespaceID)
    case description(String)
    case file(String)

    /// Reads 64 hexadecimal digits, a JSON object, or `@FILE`; `nil` otherwise.
    init?(argument: String) {
        if let id = NamespaceID(hexadecimal: argument.utf8) {
            self = .id(id)
        } else if argument.hasPrefix("@") {
            self = .file(String(argument.dropFirst()))
        } else if argument.drop(while: \.isWhitespace).first == "{" {
            self = .description(argument)
        } else {
            return nil
        }
    }

    /// The name; a description is registered with the node first.
    func resolve(_ node: LarderAdmin) async throws -> NamespaceID {
        let text: String
        switch self {
        case .id(let id): return id
        case .description(let description): text = description
        case .file(let path): text = try InputFile.text(at: path)
        }
        return try await node.describe(Self.parse(text))
    }

    /// Reads a description; the failure says what is wrong with it.
    static func parse(_ text: String) throws(CommandFailure) -> NamespaceDescription {
        do throws(CacheError) {
            return try NamespaceDescription(json: Array(text.utf8))
        } catch {
            throw CommandFailure(.usage, "the namespace's description: \(error.message)")
        }
    }
}
