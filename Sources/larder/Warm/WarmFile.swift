internal import Blocks
internal import Foundation

/// The file of `larder warm`: a JSON object a line; empty lines and lines that begin with `#` are skipped.
struct WarmFile: Hashable, Sendable {
    let entries: [WarmEntry]

    /// Reads the text of the file at `path`; the path is for messages, and prompt files are found beside it.
    init(text: String, path: String) throws(CommandFailure) {
        var entries: [WarmEntry] = []
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let trimmed = line.trimmingCharacters(in: .whitespaces)
            if trimmed.isEmpty || trimmed.hasPrefix("#") { continue }
            do throws(CommandFailure) {
                entries.append(try Self.entry(trimmed, line: index + 1, path: path))
            } catch {
                throw CommandFailure(error.status, "\(path):\(index + 1): \(error.description)")
            }
        }
        self.entries = entries
    }

    /// The names a line may have.
    ///
    /// `tokens` and `hits` are what `larder stats --hot` tells; they change nothing.
    static let names = ["ns", "keys", "prompt_file", "tier", "pin", "ttl", "tokens", "hits"]

    private static func entry(_ text: String, line: Int, path: String) throws(CommandFailure) -> WarmEntry {
        let value = try? JSONDecoder().decode(JSONText.self, from: Data(text.utf8))
        guard case .object(let members) = value else { throw failure("not a JSON object") }
        var fields: [String: JSONText] = [:]
        for member in members {
            guard names.contains(member.name) else {
                throw failure(
                    "'\(member.name)' is no name here\(Suggestion.hint(for: member.name, among: names))"
                )
            }
            fields[member.name] = member.value
        }
        return WarmEntry(
            line: line,
            prefix: try prefix(fields, path: path),
            tier: try tier(fields["tier"]),
            isPinned: try isPinned(fields["pin"]),
            timeToLive: try timeToLive(fields["ttl"])
        )
    }

    private static func prefix(
        _ fields: [String: JSONText],
        path: String
    ) throws(CommandFailure) -> WarmEntry.Prefix {
        switch (fields["keys"], fields["prompt_file"]) {
        case (.array(let values)?, nil):
            guard let namespace = fields["ns"] else { throw failure("keys need a namespace: ns") }
            let keys = values.compactMap(key)
            guard keys.count == values.count, !keys.isEmpty else {
                throw failure("keys are hexadecimal digits in quotes, 1 to 512 bytes each, at least one key")
            }
            return .keys(keys, namespace: try self.namespace(namespace))
        case (nil, .string(let file)?):
            guard fields["ns"] == nil else {
                throw failure("a prompt's namespace is its model's: leave ns out")
            }
            let directory = path.lastIndex(of: "/").map { path[...$0] } ?? ""
            return .promptFile(file.hasPrefix("/") ? file : directory + file)
        default: throw failure("give either keys and ns, or prompt_file")
        }
    }

    private static func key(_ value: JSONText) -> BlockKeyArgument? {
        guard case .string(let text) = value, let bytes = Hexadecimal.bytes(of: text.utf8) else { return nil }
        return BlockKeyArgument(bytes: bytes)
    }

    private static func namespace(_ value: JSONText) throws(CommandFailure) -> NamespaceArgument {
        switch value {
        case .string(let text):
            if let id = NamespaceID(hexadecimal: text.utf8) { return .id(id) }
        case .object: return .description(value.compact)
        default: break
        }
        throw failure("ns is 64 hexadecimal digits in quotes, or the namespace's description as an object")
    }

    private static func tier(_ value: JSONText?) throws(CommandFailure) -> WarmEntry.Tier {
        switch value {
        case nil, .string("ram"), .string("memory"): return .memory
        case .string("disk"): return .disk
        default: throw failure("tier is \"ram\" or \"disk\"")
        }
    }

    private static func isPinned(_ value: JSONText?) throws(CommandFailure) -> Bool {
        switch value {
        case nil: return false
        case .bool(let isPinned): return isPinned
        default: throw failure("pin is true or false")
        }
    }

    private static func timeToLive(_ value: JSONText?) throws(CommandFailure) -> TimeSpan? {
        guard let value else { return nil }
        guard case .string(let text) = value, let time = TimeSpan(text), time.milliseconds > 0 else {
            throw failure("ttl is how long a pin holds, such as \"1h\"")
        }
        return time
    }

    private static func failure(_ message: String) -> CommandFailure {
        CommandFailure(.noInput, message)
    }
}
