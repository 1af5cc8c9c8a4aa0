/// Every setting of a node with its value and origin: flags over environment over file over defaults.
///
/// Pure: the caller reads the environment and the file. Strict: a `LARDER_` variable or a key of the file that is
/// no setting is an error, because a slip that is ignored shows only under load.
struct ServeSettings: Hashable, Sendable {
    private var values: [ServeSetting: SettingValue]

    /// Merges the sources.
    ///
    /// - Parameters:
    ///   - flags: what the command line gave.
    ///   - environment: the process's environment, whole.
    ///   - file: the configuration file's entries, when there is one.
    /// - Throws: `.configuration` for a `LARDER_` variable that is no setting.
    init(
        flags: [ServeSetting: String],
        environment: [String: String],
        file: ConfigurationFile?
    ) throws(CommandFailure) {
        try Self.refuseUnknownNames(in: environment)
        values = [:]
        for setting in ServeSetting.allCases {
            values[setting] =
                if let text = flags[setting] {
                    SettingValue(text: text, origin: .flag(setting))
                } else if let text = environment[setting.environmentName] {
                    SettingValue(text: text, origin: .environment(setting))
                } else if let entry = file?.entries[setting] {
                    entry
                } else {
                    SettingValue(text: setting.defaultText, origin: .builtIn)
                }
        }
    }

    /// A setting's value and origin.
    subscript(setting: ServeSetting) -> SettingValue {
        values[setting] ?? SettingValue(text: setting.defaultText, origin: .builtIn)
    }

    /// Names in the environment that other commands use.
    static let clientEnvironmentNames = [
        "LARDER_CONFIG", "LARDER_NODE", "LARDER_USER", "LARDER_PASSWORD_FILE",
    ]

    private static func refuseUnknownNames(in environment: [String: String]) throws(CommandFailure) {
        let known = ServeSetting.allCases.map(\.environmentName) + clientEnvironmentNames
        for name in environment.keys.sorted() where name.hasPrefix("LARDER_") && !known.contains(name) {
            throw CommandFailure(
                .configuration,
                "environment: \(name) is no setting of larder\(Suggestion.hint(for: name, among: known))"
            )
        }
    }

    /// Each setting with its value and origin, for `--print-config`.
    var report: Report {
        Report(
            columns: [.init("setting"), .init("value"), .init("origin")],
            rows: ServeSetting.allCases.map { setting in
                let value = self[setting]
                let shown = value.text.map { Report.Cell.text($0) } ?? .absent
                return [.text(setting.rawValue), shown, .text(value.origin.description)]
            }
        )
    }
}
