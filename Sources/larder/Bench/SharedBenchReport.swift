/// Ways as rows.
enum SharedBenchReport {
    static let empty = Report(columns: [
        .init("way"), .init("bytes", title: "SIZE", isNumeric: true), .init("batch", isNumeric: true),
        .init("gb_per_second", title: "GB/S", isNumeric: true),
        .init("blocks_per_second", title: "BLOCKS/S", isNumeric: true),
        .init("p50_us", title: "P50 US", isNumeric: true),
        .init("p99_us", title: "P99 US", isNumeric: true),
        .init("ratio", title: "OF MEMCPY", isNumeric: true),
    ])

    static func row(
        _ result: SharedBench.Result,
        _ byteCount: Int,
        _ batch: Int,
        baseline: SharedBench.Result?
    ) -> [Report.Cell] {
        func figure(_ digits: Int, _ value: (BenchFigures) -> Double) -> Report.Cell {
            cell(BenchSpread(result.rounds.map(value)), digits)
        }
        let ratio = baseline.flatMap { baseline in
            BenchSpread.ratios(
                result.rounds.map(\.gigabytesPerSecond),
                baseline.rounds.map(\.gigabytesPerSecond)
            )
        }
        return [
            .text(result.way.rawValue), .bytes(byteCount), .integer(batch),
            result.movesPayloads ? figure(2) { $0.gigabytesPerSecond } : .absent,
            figure(0) { $0.keysPerSecond }, figure(0) { $0.p50 }, figure(0) { $0.p99 },
            result.movesPayloads ? cell(ratio, 2) : .absent,
        ]
    }

    private static func cell(_ spread: BenchSpread?, _ digits: Int) -> Report.Cell {
        BenchReport.cell(spread, digits, text: Rate.decimals)
    }
}
