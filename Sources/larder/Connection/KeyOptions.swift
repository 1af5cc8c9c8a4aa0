internal import ArgumentParser
internal import Blocks

/// The keys that a command is about.
struct KeyOptions: ParsableArguments {
    @Argument(help: "Keys: text, or hex: and hexadecimal digits.")
    var keys: [BlockKeyArgument] = []

    @Option(
        help: ArgumentHelp(
            "Also take keys from this file, one a line; - is standard input.",
            valueName: "file"
        )
    )
    var keysFrom: String?

    /// All keys in their order; at least one.
    func resolve() throws -> [BlockKeyArgument] {
        var all = keys
        if let keysFrom {
            for (index, line) in try InputFile.text(at: keysFrom).split(separator: "\n").enumerated() {
                guard let key = BlockKeyArgument(argument: String(line)) else {
                    throw CommandFailure(
                        .noInput,
                        "\(keysFrom), key \(index + 1): not 1 to 512 bytes, or broken hex:"
                    )
                }
                all.append(key)
            }
        }
        guard !all.isEmpty else { throw ValidationError("Give keys, or --keys-from FILE.") }
        return all
    }
}

extension [BlockKeyArgument] {
    /// The keys in batches that a node takes at once.
    var batches: [KeyBatch] {
        stride(from: 0, to: count, by: Limits.batchKeyCountMax).map { start in
            KeyBatch(self[start..<Swift.min(count, start + Limits.batchKeyCountMax)].map(\.key))
        }
    }
}
