internal import Node

extension ServeSettings {
    /// The text of a setting that is off unless given; an empty text is "off" too.
    func optionalText(_ setting: ServeSetting) -> String? {
        guard let text = self[setting].text, !text.isEmpty else { return nil }
        return text
    }

    /// The text of a setting that always has one.
    func text(_ setting: ServeSetting) throws(CommandFailure) -> String {
        try require(setting, "a value") { $0.isEmpty ? nil : $0 }
    }

    /// Bytes.
    func byteCount(_ setting: ServeSetting) throws(CommandFailure) -> Int {
        try require(setting, "a size such as 2GiB, 512MiB or 1GB") { ByteCount($0)?.bytes }
    }

    /// Bytes within bounds.
    func byteCount(_ setting: ServeSetting, in bounds: ClosedRange<Int>) throws(CommandFailure) -> Int {
        let names = [bounds.lowerBound, bounds.upperBound].map { ByteCount(bytes: $0).exactText }
        return try require(setting, "a size from \(names[0]) to \(names[1])") { text in
            ByteCount(text).flatMap { bounds.contains($0.bytes) ? $0.bytes : nil }
        }
    }

    /// A length of time.
    func timeSpan(_ setting: ServeSetting) throws(CommandFailure) -> TimeSpan {
        try require(setting, "a time such as 30s, 500ms or 1h") { TimeSpan($0) }
    }

    /// A whole number within bounds.
    func count(_ setting: ServeSetting, in bounds: ClosedRange<Int>) throws(CommandFailure) -> Int {
        try require(setting, "a number from \(bounds.lowerBound) to \(bounds.upperBound)") { text in
            Int(text).flatMap { bounds.contains($0) ? $0 : nil }
        }
    }

    /// A whole number within bounds, or off.
    func optionalCount(_ setting: ServeSetting, in bounds: ClosedRange<Int>) throws(CommandFailure) -> Int? {
        optionalText(setting) == nil ? nil : try count(setting, in: bounds)
    }

    /// Yes or no.
    func isOn(_ setting: ServeSetting) throws(CommandFailure) -> Bool {
        try require(setting, "true or false") { text in
            switch text.lowercased() {
            case "true", "yes", "on", "1": true
            case "false", "no", "off", "0": false
            default: nil
            }
        }
    }

    /// Where memory is kept.
    func memoryFile() throws(CommandFailure) -> MemoryFileChoice {
        try require(.memoryFile, "auto, off, or a path with a slash in it") { MemoryFileChoice($0) }
    }

    /// One of a few words.
    func choice<Choice: RawRepresentable & CaseIterable>(
        _ setting: ServeSetting,
        of type: Choice.Type
    ) throws(CommandFailure) -> Choice where Choice.RawValue == String {
        let words = Choice.allCases.map(\.rawValue)
        return try require(setting, "one of " + words.joined(separator: ", ")) { Choice(rawValue: $0) }
    }

    private func require<Value>(
        _ setting: ServeSetting,
        _ expectation: String,
        _ read: (String) -> Value?
    ) throws(CommandFailure) -> Value {
        let value = self[setting]
        if let read = read(value.text ?? "") { return read }
        let status: ExitStatus = if case .flag = value.origin { .usage } else { .configuration }
        throw CommandFailure(status, "\(value.origin): '\(value.text ?? "")' is not \(expectation)")
    }
}
