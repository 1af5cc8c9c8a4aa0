internal import Foundation

/// Results as rows: one for each server in each case; a ratio stands with the server that the first is compared with.
enum BenchReport {
    static func report(_ results: [BenchResult]) -> Report {
        var report = Report(columns: [
            .init("server"), .init("op"), .init("bytes", title: "SIZE", isNumeric: true),
            .init("in_flight", isNumeric: true), .init("batch", isNumeric: true),
            .init("gb_per_second", title: "GB/S", isNumeric: true),
            .init("operations_per_second", title: "OPS/S", isNumeric: true),
            .init("keys_per_second", title: "KEYS/S", isNumeric: true),
            .init("p50_us", title: "P50 US", isNumeric: true),
            .init("p99_us", title: "P99 US", isNumeric: true),
            .init("p999_us", title: "P99.9 US", isNumeric: true),
            .init("max_us", title: "MAX US", isNumeric: true),
            .init("misses", isNumeric: true), .init("errors", isNumeric: true),
            .init("wrong", isNumeric: true), .init("verified", isNumeric: true),
            .init("ratio", isNumeric: true),
        ])
        for result in results {
            for (index, side) in result.sides.enumerated() {
                report.rows.append(row(result, side, ratio: result.ratio(to: index)))
            }
        }
        return report
    }

    /// What a person must not overlook, one line each.
    static func warnings(_ results: [BenchResult]) -> [String] {
        results.flatMap { result in
            result.sides.flatMap { side -> [String] in
                var lines: [String] = []
                if let error = side.faults.firstError { lines.append("\(side.name): \(error)") }
                if side.faults.wrongByteCount > 0 {
                    lines.append(
                        "\(side.name): \(side.faults.wrongByteCount) payloads were not what was stored"
                    )
                }
                if side.plan.operation != result.plan.operation {
                    lines.append(
                        "\(side.name) knows no KV verbs: \(side.plan.operation.rawValue) stands for "
                            + result.plan.operation.rawValue
                    )
                }
                return lines
            }
        }
    }

    private static func row(
        _ result: BenchResult,
        _ side: BenchResult.Side,
        ratio: BenchSpread?
    ) -> [Report.Cell] {
        func figure(_ digits: Int, _ value: (BenchFigures) -> Double) -> Report.Cell {
            cell(BenchSpread(side.rounds.map(value)), digits)
        }
        let movesPayloads = side.plan.operation.movesPayloads
        return [
            .text(side.name), .text(side.plan.operation.rawValue), .bytes(side.plan.byteCount),
            .text(side.plan.concurrency.description), .integer(side.plan.batch),
            movesPayloads ? figure(2) { $0.gigabytesPerSecond } : .absent,
            figure(0) { $0.operationsPerSecond }, figure(0) { $0.keysPerSecond },
            figure(0) { $0.p50 }, figure(0) { $0.p99 }, figure(0) { $0.p999 }, figure(0) { $0.slowest },
            .integer(side.faults.missCount), .integer(side.faults.errorCount),
            .integer(side.faults.wrongByteCount), .integer(side.verifiedKeyCount),
            cell(ratio, 2),
        ]
    }

    /// `5.20 [4.36-5.46]`, or the one value of a single round; JSON has every round's value.
    static func cell(
        _ spread: BenchSpread?,
        _ digits: Int,
        text: (Double, Int) -> String = { String(format: "%.\($1)f", $0) }
    ) -> Report.Cell {
        guard let spread else { return .absent }
        func number(_ value: Double) -> JSONText {
            .number(Double(String(format: "%.\(digits)f", value)) ?? value)
        }
        let median = text(spread.median, digits)
        return Report.Cell(
            text: spread.smallest == spread.largest
                ? median
                : "\(median) [\(text(spread.smallest, digits))-\(text(spread.largest, digits))]",
            json: .object([
                "median": number(spread.median), "min": number(spread.smallest),
                "max": number(spread.largest), "rounds": .array(spread.rounds.map(number)),
            ])
        )
    }
}
