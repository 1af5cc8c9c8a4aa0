internal import Blocks
internal import Logging

/// Writes log lines to standard error.
struct StandardErrorLogHandler: LogHandler {
    let label: String
    /// Whether lines are JSON.
    let isJSON: Bool
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    init(label: String, isJSON: Bool, logLevel: Logger.Level) {
        self.label = label
        self.isJSON = isJSON
        self.logLevel = logLevel
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var merged = metadata
        if let provided = metadataProvider?.get() { merged.merge(provided) { $1 } }
        if let own = event.metadata { merged.merge(own) { $1 } }
        let line = LogLine(
            unixMilliseconds: SystemClock().unixMilliseconds(),
            level: event.level,
            label: label,
            message: event.message.description,
            fields: merged.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
        )
        StandardStreams.error(isJSON ? line.json : line.text)
    }
}

extension Logger {
    /// The logger of a process that runs in the foreground.
    static func standardError(label: String, level: Logger.Level, format: LogFormat) -> Logger {
        let isJSON =
            switch format {
            case .auto: !StandardStreams.errorIsTerminal
            case .text: false
            case .json: true
            }
        var logger = Logger(label: label) {
            StandardErrorLogHandler(label: $0, isJSON: isJSON, logLevel: level)
        }
        logger.logLevel = level
        return logger
    }
}
