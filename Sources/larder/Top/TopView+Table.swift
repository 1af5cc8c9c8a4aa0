internal import LarderClient

/// For people: four small tables, and a fifth of the hottest prefixes, each at most 80 columns wide.
extension TopView {
    /// All lines, without line feeds.
    var lines: [String] {
        var lines = heading
        for table in [nodeTable, hitTable, latencyTable, queueTable] + (hot.map { [Self.hotTable($0)] } ?? [])
        {
            lines.append("")
            lines += table.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        }
        // Names come from the nodes: none of them moves the cursor.
        return lines.map { String($0.map { $0.unicodeScalars.allSatisfy(Self.isShown) ? $0 : "?" }) }
    }

    private static func isShown(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.generalCategory != .control && scalar.properties.generalCategory != .format
    }

    private var heading: [String] {
        var words = ["larder top \(asked)"]
        if epoch != nil { words.append("\(nodes.count) nodes, \(silent.count) not answering") }
        words += ["every \(interval)", "\(LogLine.time(unixMilliseconds).dropFirst(11).prefix(8))Z"]
        var lines = [words.joined(separator: "  ")]
        if !silent.isEmpty {
            let names = silent.map { node in
                let since = node.silence(at: seconds).map { "silent for \(Rate.decimals($0, 0)) s" }
                return "\(node.name) (\(since ?? "never heard"))"
            }
            lines.append("no answer from \(names.joined(separator: ", "))")
        }
        return lines
    }

    // MARK: Tables

    private var nodeTable: String {
        let columns: [Report.Column] = [
            .init("node"), .init("state"), .init("share", isNumeric: true),
            .init("requests", title: "REQ/S", isNumeric: true),
            .init("in", title: "IN/S", isNumeric: true), .init("out", title: "OUT/S", isNumeric: true),
            .init("memory", isNumeric: true), .init("disk", isNumeric: true),
        ]
        var rows = nodes.map { node in
            [
                Self.name(node.name), node.state, Self.percent(node.share),
                Self.rate(node.activity?.requestsPerSecond),
                Self.bytes(node.activity?.receivedBytesPerSecond),
                Self.bytes(node.activity?.sentBytesPerSecond),
                Self.use(node.figure("memory_used_bytes"), node.figure("memory_arena_bytes")),
                Self.use(node.figure("disk_directory_bytes"), node.figure("disk_budget_bytes")),
            ]
        }
        if nodes.count > 1 {
            func sum(_ name: String) -> Int? {
                let values = nodes.compactMap { $0.figure(name) }
                return values.isEmpty ? nil : values.reduce(0, &+)
            }
            rows.append([
                "all", "", "", Self.rate(activity?.requestsPerSecond),
                Self.bytes(activity?.receivedBytesPerSecond), Self.bytes(activity?.sentBytesPerSecond),
                Self.use(sum("memory_used_bytes"), sum("memory_arena_bytes")),
                Self.use(sum("disk_directory_bytes"), sum("disk_budget_bytes")),
            ])
        }
        return TextTable(columns: columns, rows: rows).text
    }

    private var hitTable: String {
        let columns: [Report.Column] =
            [.init("hits")]
            + ["get hit", "ram", "disk", "peer", "match hit", "ram", "disk", "peer"].map {
                .init($0, isNumeric: true)
            }
        func row(_ name: String, _ activity: NodeActivity?) -> [String] {
            [name]
                + [activity?.got, activity?.matched].flatMap { counts in
                    let shares = counts.flatMap { TierShares($0) }
                    return [shares?.hit, shares?.memory, shares?.disk, shares?.peer].map(Self.percent)
                }
        }
        var rows = nodes.map { row(Self.name($0.name), $0.activity) }
        if nodes.count > 1 { rows.append(row("all", activity)) }
        return TextTable(columns: columns, rows: rows).text
    }

    private var latencyTable: String {
        let kinds = ["match", "get", "put", "peer", "other"]
        let columns: [Report.Column] =
            [.init("p50/p99 us")] + kinds.map { .init($0, isNumeric: true) }
        let rows = nodes.map { node in
            [Self.name(node.name)]
                + kinds.map { kind in
                    guard let sample = node.sample, (sample.integer("latency_\(kind)_requests") ?? 0) > 0,
                        let median = sample.number("latency_\(kind)_p50_microseconds"),
                        let high = sample.number("latency_\(kind)_p99_microseconds")
                    else { return "-" }
                    return "\(Self.microseconds(median))/\(Self.microseconds(high))"
                }
        }
        return TextTable(columns: columns, rows: rows).text
    }

    private var queueTable: String {
        let columns: [Report.Column] =
            [.init("queues")]
            + ["writes", "hand-off", "loads", "peers", "puts", "leases"].map { .init($0, isNumeric: true) }
            + [.init("hand-over")]
        let rows = nodes.map { node in
            [
                Self.name(node.name), Self.bytes(node.figure("write_queue_bytes").map(Double.init)),
                Self.bytes(node.figure("handoff_queue_bytes").map(Double.init)),
                Self.count(node.figure("load_queue_blocks")), Self.count(node.figure("peer_loads_under_way")),
                Self.count(node.figure("puts_waiting")), Self.count(node.figure("leases")),
                Self.handover(node),
            ]
        }
        return TextTable(columns: columns, rows: rows).text
    }

    private static func hotTable(_ prefixes: [TopPrefix]) -> String {
        let columns: [Report.Column] = [
            .init("hits", isNumeric: true), .init("tokens", isNumeric: true),
            .init("blocks", isNumeric: true),
            .init("hottest prefix: last key"),
        ]
        let rows = prefixes.map { prefix in
            [
                count(prefix.hitCount), count(prefix.tokenCount), count(prefix.blockCount),
                cut(BlockKeyArgument(bytes: prefix.lastKey)?.text ?? "", to: 50),
            ]
        }
        return TextTable(columns: columns, rows: rows).text
    }

    // MARK: Cells, each of a bounded width

    private static func handover(_ node: TopNode) -> String {
        guard let phase = node.sample?.text("cluster_handover_phase"), phase != "idle" else { return "-" }
        // A node that is not leaving gives to those that join, and is not done as long as others may.
        let isAtWork = node.member?.state == "draining" || (node.activity?.handoverBlockCount ?? 0) > 0
        guard phase == "done" || isAtWork else { return "-" }
        if let failed = node.figure("cluster_handover_failed_blocks"), failed > 0 {
            return "\(phase) \(count(failed)) failed"
        }
        return "\(phase) \(bytes(node.figure("cluster_handover_given_bytes").map(Double.init)))"
    }

    private static func name(_ name: String) -> String { cut(name, to: 12) }

    private static func cut(_ text: String, to characterCount: Int) -> String {
        text.count <= characterCount ? text : text.prefix(characterCount - 2) + ".."
    }

    private static func percent(_ part: Double?) -> String {
        part.map { $0 >= 0.9995 ? "100%" : "\(Rate.decimals($0 * 100, 1))%" } ?? "-"
    }

    private static func use(_ used: Int?, _ all: Int?) -> String {
        guard let used, let all, all > 0 else { return "-" }
        let units: [(String, Double)] = [
            ("B", 1), ("KiB", 1_024), ("MiB", 1_048_576), ("GiB", 1_073_741_824), ("TiB", 1_099_511_627_776),
        ]
        return "\(short(Double(used), units)) \(Rate.decimals(Double(used) / Double(all) * 100, 0))%"
    }

    private static func count(_ value: Int?) -> String {
        value.map { short(Double($0), [("", 1), ("k", 1e3), ("M", 1e6), ("G", 1e9)]) } ?? "-"
    }

    private static func rate(_ value: Double?) -> String {
        value.map { short($0.rounded(), [("", 1), ("k", 1e3), ("M", 1e6), ("G", 1e9)]) } ?? "-"
    }

    /// Powers of a thousand, as rates are told: `1.23GB`.
    private static func bytes(_ value: Double?) -> String {
        value.map { short($0.rounded(), [("B", 1), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12)]) }
            ?? "-"
    }

    private static func microseconds(_ value: Double) -> String {
        if value < 9.95 { return Rate.decimals(value, 1) }
        if value < 9_999.5 { return Rate.decimals(value, 0) }
        if value < 999_500 { return "\(Rate.decimals(value / 1e3, 0))ms" }
        return "\(Rate.decimals(min(value / 1e6, 9_999), value < 99_950_000 ? 1 : 0))s"
    }

    /// Three digits and a unit; small whole numbers as they are.
    private static func short(_ value: Double, _ units: [(name: String, size: Double)]) -> String {
        var index = 0
        while index < units.count - 1, value >= units[index + 1].size * 0.9995 { index += 1 }
        let scaled = value / units[index].size
        let decimals = index == 0 || scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : 2
        return Rate.decimals(scaled, decimals) + units[index].name
    }
}
