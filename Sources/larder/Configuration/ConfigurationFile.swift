internal import Yams

/// The entries of a YAML configuration file: the settings' names and plain values, nothing nested.
struct ConfigurationFile: Hashable, Sendable {
    /// What the file says, each with its line.
    let entries: [ServeSetting: SettingValue]

    /// Reads the text of the file at `path`; the path is for messages only.
    init(text: String, path: String) throws(CommandFailure) {
        let root: Yams.Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch {
            throw Self.failure(path, line: nil, "not valid YAML: \(Self.firstLine(of: error))")
        }
        guard let root, !Self.isNothing(root) else {
            entries = [:]
            return
        }
        guard let mapping = root.mapping else {
            throw Self.failure(path, line: root.mark?.line, "expected 'name: value' lines")
        }
        var entries: [ServeSetting: SettingValue] = [:]
        for (key, value) in mapping {
            let line = key.mark?.line ?? 1
            let name = key.string ?? ""
            guard let setting = ServeSetting(rawValue: name) else {
                let hint = Suggestion.hint(for: name, among: ServeSetting.allCases.map(\.rawValue))
                throw Self.failure(path, line: line, "'\(name)' is no setting of larder serve\(hint)")
            }
            guard let scalar = value.scalar else {
                throw Self.failure(path, line: line, "'\(name)' takes one plain value")
            }
            entries[setting] = SettingValue(
                text: Self.isNothing(value) ? nil : scalar.string,
                origin: .file(path: path, line: line)
            )
        }
        self.entries = entries
    }

    private static func isNothing(_ node: Yams.Node) -> Bool {
        guard let scalar = node.scalar else { return false }
        return scalar.style == .plain && ["", "~", "null"].contains(scalar.string)
    }

    private static func failure(_ path: String, line: Int?, _ message: String) -> CommandFailure {
        CommandFailure(.configuration, "\(path)\(line.map { ":\($0)" } ?? ""): \(message)")
    }

    private static func firstLine(of error: any Error) -> String {
        "\(error)".split(separator: "\n").first.map(String.init) ?? "unreadable"
    }
}
