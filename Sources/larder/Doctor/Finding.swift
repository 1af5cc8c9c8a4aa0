/// What one check of the doctor found.
struct Finding: Hashable, Sendable {
    /// How bad it is.
    enum Verdict: String, Sendable {
        /// As it should be.
        case ok
        /// The node runs, but slower or with less than it could.
        case warning
        /// The node would not start, or not keep its promises.
        case failure
    }

    let check: String
    let verdict: Verdict
    /// What was measured.
    let detail: String
    /// What to do; `nil` when there is nothing to do.
    let fix: String?

    static func ok(_ check: String, _ detail: String) -> Finding {
        Finding(check: check, verdict: .ok, detail: detail, fix: nil)
    }

    static func warning(_ check: String, _ detail: String, fix: String) -> Finding {
        Finding(check: check, verdict: .warning, detail: detail, fix: fix)
    }

    static func failure(_ check: String, _ detail: String, fix: String) -> Finding {
        Finding(check: check, verdict: .failure, detail: detail, fix: fix)
    }
}

extension [Finding] {
    /// For programs.
    var report: Report {
        Report(
            columns: [.init("check"), .init("verdict"), .init("detail"), .init("fix")],
            rows: map { finding in
                [
                    .text(finding.check), .text(finding.verdict.rawValue), .text(finding.detail),
                    finding.fix.map { .text($0) } ?? .absent,
                ]
            }
        )
    }

    /// For people: a line a check, a second line where there is something to do, and a last line that sums up.
    var text: String {
        let width = map(\.check.count).max() ?? 0
        var lines: [String] = []
        for finding in self {
            let word = finding.verdict.rawValue
            let verdict = word + String(repeating: " ", count: 7 - word.count)
            let check = finding.check + String(repeating: " ", count: width - finding.check.count)
            lines.append("\(verdict)  \(check)  \(finding.detail)")
            if let fix = finding.fix {
                lines.append(String(repeating: " ", count: width + 11) + "fix: \(fix)")
            }
        }
        let failures = count { $0.verdict == .failure }
        let warnings = count { $0.verdict == .warning }
        let sum =
            failures > 0
            ? "not fit: \(failures) failed, \(warnings) with a warning"
            : warnings > 0
                ? "fit to serve, with \(warnings) warning\(warnings == 1 ? "" : "s")" : "fit to serve"
        return (lines + [sum]).joined(separator: "\n")
    }
}
