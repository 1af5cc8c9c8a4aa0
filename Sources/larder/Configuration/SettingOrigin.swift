/// Where a setting's value comes from; the strongest first.
enum SettingOrigin: Hashable, Sendable, CustomStringConvertible {
    /// On the command line, as `--name`.
    case flag(ServeSetting)
    /// In the environment, as `LARDER_NAME`.
    case environment(ServeSetting)
    /// In the configuration file, on this line.
    case file(path: String, line: Int)
    /// Nobody gave one.
    case builtIn

    /// As people look for it: `--memory`, `LARDER_MEMORY`, `larder.yaml:3`, `default`.
    var description: String {
        switch self {
        case .flag(let setting): "--\(setting.rawValue)"
        case .environment(let setting): setting.environmentName
        case .file(let path, let line): "\(path):\(line)"
        case .builtIn: "default"
        }
    }
}

/// One setting's value as text, and where it comes from.
struct SettingValue: Hashable, Sendable {
    /// The text; `nil` is "off".
    let text: String?
    let origin: SettingOrigin
}
