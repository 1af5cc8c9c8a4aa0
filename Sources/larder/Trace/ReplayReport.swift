internal import Histogram
internal import TraceReplay

/// A replay's figures: a line each for people, one object for programs.
enum ReplayReport {
    static func report(_ outcome: ReplayOutcome, _ format: OutputFormat) -> Report {
        let figures = figures(outcome)
        guard format == .table else {
            return Report(columns: figures.map { .init($0.name) }, rows: [figures.map(\.cell)])
        }
        return Report(
            columns: [.init("figure"), .init("value", isNumeric: true)],
            rows: figures.map { [.text($0.title), $0.cell] }
        )
    }

    private struct Figure {
        let name: String
        let title: String
        let cell: Report.Cell

        init(_ name: String, _ title: String, _ cell: Report.Cell) {
            self.name = name
            self.title = title
            self.cell = cell
        }
    }

    private static func figures(_ outcome: ReplayOutcome) -> [Figure] {
        let tally = outcome.tally
        return [
            Figure("requests", "requests", .integer(tally.requestCount)),
            Figure("seconds", "seconds", number(outcome.seconds, 1)),
            Figure("blocks", "blocks asked", .integer(tally.sum.blockCount)),
            Figure("hits", "blocks hit", .integer(tally.sum.hitCount)),
            Figure("hit_percent", "hit ratio, %", number(tally.hitPercent, 2)),
            Figure(
                "endless_hit_percent",
                "of an endless cache, %",
                number(100 * outcome.endless.hitRatio, 2)
            ),
            Figure("disk_matches", "blocks matched on disk", .integer(tally.sum.diskCount)),
            Figure("tokens", "tokens asked", .integer(tally.sum.inputTokenCount)),
            Figure("tokens_hit", "tokens hit", .integer(tally.sum.hitTokenCount)),
            Figure("tokens_hit_percent", "tokens hit, %", number(tally.hitTokenPercent, 2)),
        ] + traffic(outcome) + latencies(tally) + [
            Figure("existed_but_failed", "existed but failed", .integer(tally.sum.failedCount)),
            Figure("refused", "stores refused", .integer(tally.refusedCount)),
            Figure("refusals", "  reasons", counts(tally.sum.refusals)),
            Figure("wrong_blocks", "blocks with wrong bytes", .integer(tally.wrongCount)),
            Figure("failed_calls", "failed calls", counts(outcome.failedCallsByName)),
        ]
    }

    private static func traffic(_ outcome: ReplayOutcome) -> [Figure] {
        let sum = outcome.tally.sum
        func speed(_ blockCount: Int) -> Report.Cell {
            number(Double(blockCount * outcome.blockByteCount) / max(outcome.seconds, 1e-9) / 1e9, 3)
        }
        return [
            Figure("loaded_bytes", "loaded", .bytes(sum.loadedCount * outcome.blockByteCount)),
            Figure("loaded_gb_per_second", "loaded, GB/s", speed(sum.loadedCount)),
            Figure("stored_bytes", "stored", .bytes(sum.storedCount * outcome.blockByteCount)),
            Figure("stored_gb_per_second", "stored, GB/s", speed(sum.storedCount)),
            Figure("stored", "blocks stored", .integer(sum.storedCount)),
            Figure("existing", "blocks there already", .integer(sum.existingCount)),
        ]
    }

    private static func latencies(_ tally: ReplayTally) -> [Figure] {
        let parts: [(String, ReplayTally.Latencies)] = [
            ("request", tally.requestLatencies), ("match", tally.matchLatencies),
            ("load", tally.loadLatencies), ("store", tally.storeLatencies),
        ]
        return parts.flatMap { name, latencies in
            [(50.0, "p50"), (99.0, "p99")].map { percentile, title in
                let microseconds = Double(latencies.valueAtPercentile(percentile)) / 1_000
                let cell = latencies.totalCount == 0 ? .absent : number(microseconds, 0)
                return Figure("\(name)_\(title)_us", "\(name) \(title), us", cell)
            }
        }
    }

    private static func number(_ value: Double, _ decimals: Int) -> Report.Cell {
        let text = Rate.decimals(value, decimals)
        return Report.Cell(text: text, json: Double(text).map { .number($0) } ?? .null)
    }

    private static func counts(_ counts: [String: Int]) -> Report.Cell {
        let sorted = counts.sorted { $0.key < $1.key }
        return Report.Cell(
            text: sorted.isEmpty ? "-" : sorted.map { "\($0.key) \($0.value)" }.joined(separator: ", "),
            json: .object(sorted.map { JSONText.Member(name: $0.key, value: .integer($0.value)) })
        )
    }
}
