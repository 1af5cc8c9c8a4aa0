internal import Blocks
internal import PayloadCoding

/// Codecs as rows.
enum CodecBenchReport {
    static let empty = Report(columns: [
        .init("data"), .init("dtype"), .init("bytes", title: "SIZE", isNumeric: true), .init("codec"),
        .init("variant"), .init("ratio", isNumeric: true),
        .init("in_gb_per_second", title: "IN", isNumeric: true),
        .init("in_median_gb_per_second", title: "IN MEDIAN", isNumeric: true),
        .init("out_gb_per_second", title: "OUT", isNumeric: true),
        .init("out_median_gb_per_second", title: "OUT MEDIAN", isNumeric: true),
        .init("verified"), .init("chosen"),
    ])

    static func row(
        _ data: String,
        _ type: ElementType,
        _ byteCount: Int,
        _ bench: CodecBench,
        _ result: CodecBench.Result,
        isChosen: Bool
    ) -> [Report.Cell] {
        [
            .text(data), .text(type.name), .bytes(byteCount), .text(name(bench.coding)),
            bench.coding.codec == .exponent ? .text(bench.variant.rawValue) : .absent, cell(result.ratio, 3),
            cell(BenchSpread(result.codingSpeeds)?.largest, 2),
            cell(BenchSpread(result.codingSpeeds)?.median, 2),
            cell(BenchSpread(result.decodingSpeeds)?.largest, 2),
            cell(BenchSpread(result.decodingSpeeds)?.median, 2),
            .bool(result.isRight), isChosen ? .bool(true) : Report.Cell(text: "", json: .bool(false)),
        ]
    }

    private static func name(_ coding: PieceCoding) -> String {
        switch coding.codec {
        case .raw: "raw"
        case .lz4: "lz4"
        case .lz4Planes: "lz4-planes"
        case .exponent: coding.addsLZ4 ? "exponent+lz4" : "exponent"
        }
    }

    private static func cell(_ value: Double?, _ digits: Int) -> Report.Cell {
        guard let value else { return .absent }
        let text = Rate.decimals(value, digits)
        return Report.Cell(text: text, json: .number(Double(text) ?? value))
    }
}
