internal import Engine

/// What a worker prints of each request.
enum WorkerReport {
    /// The columns; a row per turn.
    static let empty = Report(columns: [
        Report.Column("request", isNumeric: true), Report.Column("turn", isNumeric: true),
        Report.Column("prompt_tokens", title: "PROMPT", isNumeric: true),
        Report.Column("reused_tokens", title: "REUSED", isNumeric: true),
        Report.Column("reused_from", title: "FROM"),
        Report.Column("computed_tokens", title: "COMPUTED", isNumeric: true),
        Report.Column("ttft_ms", title: "TTFT MS", isNumeric: true),
        Report.Column("cache_ms", title: "CACHE MS", isNumeric: true),
        Report.Column("total_ms", title: "TOTAL MS", isNumeric: true),
        Report.Column("stored_blocks", title: "STORED", isNumeric: true),
        Report.Column("logits_digest", title: "LOGITS"),
        Report.Column("answer", title: "ANSWER"),
    ])

    /// One turn's row.
    static func row(request: Int, turn: Int, _ outcome: RequestOutcome, answer: [UInt8]) -> [Report.Cell] {
        [
            .integer(request), .integer(turn), .integer(outcome.promptTokenCount), .integer(outcome.reusedTokenCount),
            tiers(outcome), .integer(outcome.computedTokenCount), milliseconds(outcome.timeToFirstToken),
            milliseconds(outcome.cacheTime), milliseconds(outcome.totalTime), stored(outcome.stored),
            Report.Cell(text: String(outcome.logitsDigest.prefix(16)), json: .string(outcome.logitsDigest)),
            text(answer),
        ]
    }

    private static func tiers(_ outcome: RequestOutcome) -> Report.Cell {
        let tiers = [
            ("memory", outcome.memoryTokenCount), ("disk", outcome.diskTokenCount), ("other", outcome.otherTokenCount),
        ]
        let used = tiers.filter { $0.1 > 0 }
        let words = used.count == 1 ? used[0].0 : used.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
        return Report.Cell(
            text: words.isEmpty ? "-" : words,
            json: .object(tiers.map { JSONText.Member(name: $0.0, value: .integer($0.1)) })
        )
    }

    private static func stored(_ count: StoreCount) -> Report.Cell {
        let refused = count.refused > 0 ? " (\(count.refused) refused)" : ""
        return Report.Cell(
            text: "\(count.stored)\(refused)",
            json: .object([
                "stored": .integer(count.stored), "existing": .integer(count.existing),
                "refused": .integer(count.refused),
            ])
        )
    }

    /// A tenth of a millisecond is the finest that repeats.
    private static func milliseconds(_ duration: Duration) -> Report.Cell {
        let tenths = (duration / .microseconds(100)).rounded()
        return Report.Cell(text: "\(tenths / 10)", json: .number(tenths / 10))
    }

    /// Bytes as text; what is no text or would leave its line is shown by its code.
    private static func text(_ bytes: [UInt8]) -> Report.Cell {
        let hexadecimal = bytes.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0\(digits)" : digits
        }
        let shown = zip(bytes, hexadecimal).map { byte, digits in
            (0x20..<0x7f).contains(byte) ? String(UnicodeScalar(byte)) : "\\x\(digits)"
        }
        return Report.Cell(
            text: shown.joined(),
            json: .object([
                "text": .string(String(decoding: bytes, as: UTF8.self)), "bytes": .string(hexadecimal.joined()),
            ])
        )
    }
}
