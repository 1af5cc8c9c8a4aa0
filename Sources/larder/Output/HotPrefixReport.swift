internal import Blocks
internal import LarderClient

/// The prefixes of a namespace that were asked for most.
struct HotPrefixReport {
    let namespace: NamespaceID
    let prefixes: [PrefixHeat]

    /// A table names a prefix by its last key; JSON has all keys, in the form that `larder warm` reads.
    func report(_ format: OutputFormat) -> Report {
        format == .table ? table : lines
    }

    private var table: Report {
        Report(
            columns: [
                .init("hits", isNumeric: true), .init("tokens", isNumeric: true),
                .init("blocks", isNumeric: true),
                .init("last_key"),
            ],
            rows: prefixes.map { prefix in
                let last = prefix.keys.last.flatMap { BlockKeyArgument(bytes: $0) }?.text ?? ""
                return [
                    .integer(prefix.hitCount), .integer(prefix.tokenCount), .integer(prefix.keys.count),
                    .text(last),
                ]
            }
        )
    }

    private var lines: Report {
        Report(
            columns: [.init("ns"), .init("keys"), .init("tokens"), .init("hits")],
            rows: prefixes.map { prefix in
                let keys = JSONText.array(prefix.keys.map { .string(Hexadecimal.text(of: $0)) })
                return [
                    .text(namespace.description), .init(text: "", json: keys), .integer(prefix.tokenCount),
                    .integer(prefix.hitCount),
                ]
            }
        )
    }
}
