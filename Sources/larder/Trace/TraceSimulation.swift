internal import Eviction
internal import TraceReplay

/// All policies at all sizes over one trace, as a report with progress.
struct TraceSimulation {
    private let trace: Trace
    private let policies: [EvictionPolicyName]
    private let capacities: [Int]
    private let puts: PutOrder
    private let line = ProgressLine()
    private let clock = ContinuousClock()
    private var runsDone = 0

    init(_ trace: Trace, policies: [EvictionPolicyName], capacities: [Int], _ puts: PutOrder) {
        self.trace = trace
        self.policies = policies
        self.capacities = capacities
        self.puts = puts
    }

    /// Replays the trace; a row for each policy, and for what would be possible.
    mutating func run() -> Report {
        var report = Report(
            columns: [.init("policy")]
                + capacities.map { capacity in
                    let title = Report.Cell.integer(capacity).text
                    return .init("hit_percent_\(capacity)", title: title, isNumeric: true)
                } + [.init("nanoseconds", title: "NS", isNumeric: true)]
        )
        for policy in policies {
            let puts = puts
            report.rows.append(
                row(policy.rawValue) { trace, capacity, progress in
                    policy.replay(trace, capacity: capacity, order: puts, progress: progress)
                }
            )
        }
        report.rows.append(
            row("optimum") { trace, capacity, _ in OptimalReplay.run(trace, capacity: capacity) }
        )
        var endless = row("endless") { trace, _, _ in
            OptimalReplay.run(trace, capacity: trace.uniqueBlockCount)
        }
        endless[endless.count - 1] = .absent
        report.rows.append(endless)
        line.finish("\(runsDone) of \(runCount) replays")
        return report
    }

    private var runCount: Int { (policies.count + 2) * capacities.count }

    private mutating func row(
        _ name: String,
        _ replay: (Trace, _ capacity: Int, _ progress: (Int) -> Void) -> ReplayResult
    ) -> [Report.Cell] {
        var cells: [Report.Cell] = [.text(name)]
        let start = clock.now
        for capacity in capacities {
            let result = replay(trace, capacity) { request in
                let size = Report.Cell.integer(capacity).text
                let share = 100 * request / max(1, trace.requestCount)
                line.show("\(runsDone) of \(runCount) replays, \(name) at \(size) blocks, \(share) %")
            }
            runsDone += 1
            cells.append(Self.number(100 * result.hitRatio, decimals: 2))
        }
        let nanoseconds = (clock.now - start) / .nanoseconds(1)
        let uses = max(1, trace.blocks.count * capacities.count)
        cells.append(Self.number(nanoseconds / Double(uses), decimals: 0))
        return cells
    }

    private static func number(_ value: Double, decimals: Int) -> Report.Cell {
        let text = Rate.decimals(value, decimals)
        return Report.Cell(text: text, json: Double(text).map { .number($0) } ?? .null)
    }
}
