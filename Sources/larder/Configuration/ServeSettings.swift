internal import Foundation

/// Every setting of a node with its value and origin: flags over environment over file over defaults.
///
/// Pure: the caller reads the environment and the file. Strict: a `LARDER_` variable or a key of the file that is
/// no setting is an error, because a slip that is ignored shows only under load.
struct ServeSettings: Hashable, Sendable {
    private var values: [ServeSetting: SettingValue]
    /// Variables that look like settings and are Kubernetes' own: what it tells each pod of a service named larder.
    let ignoredNames: [String]

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
        ignoredNames = environment.filter { Self.isServiceLink($0.key, $0.value) }.keys.sorted()
        let environment = environment.filter { !Self.isServiceLink($0.key, $0.value) }
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

    /// Names in the environment that other commands, the Python client and the tests use.
    static let clientEnvironmentNames = [
        "LARDER_CONFIG", "LARDER_NODE", "LARDER_USER", "LARDER_PASSWORD_FILE", "LARDER_PASSWORD",
        "LARDER_BIN",
    ]

    /// Whether a variable is one of those that Kubernetes makes of a service named `larder` or `larder-...`:
    /// LARDER_SERVICE_HOST, LARDER_SERVICE_PORT[_NAME], LARDER_PORT=tcp://..., LARDER_PORT_7379_TCP[_ADDR|_PORT|_PROTO].
    ///
    /// See kubernetes.io, "Discovering services", for the names.
    private static func isServiceLink(_ name: String, _ value: String) -> Bool {
        guard name.hasPrefix("LARDER_") else { return false }
        if name.hasSuffix("_SERVICE_HOST") || name.hasSuffix("_SERVICE_PORT")
            || name.contains("_SERVICE_PORT_")
        {
            return true
        }
        if name.hasSuffix("_PORT"), value.hasPrefix("tcp://") || value.hasPrefix("udp://") { return true }
        guard let port = name.range(of: "_PORT_", options: .backwards) else { return false }
        let rest = name[port.upperBound...].split(separator: "_")
        return rest.count >= 2 && Int(rest[0]) != nil && ["TCP", "UDP", "SCTP"].contains(rest[1])
    }

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
