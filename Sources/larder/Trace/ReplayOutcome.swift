internal import LarderClient
internal import TraceReplay

/// What a replay came to.
struct ReplayOutcome: Sendable {
    /// Sums and latencies of the requests that were made.
    let tally: ReplayTally
    /// Requests that were to be made.
    let requestCountPlanned: Int
    /// Bytes of a block.
    let blockByteCount: Int
    /// How long it took.
    let seconds: Double
    /// What a cache that never evicts would have hit of the same requests.
    let endless: ReplayResult
    /// Calls to the node that failed, by reason.
    let failedCalls: [LarderClientError.Code: Int]

    /// What a person must not overlook and a program must not take for a good run, one line each.
    var faults: [String] {
        var faults = tally.sum.wrongPayloads
        if tally.wrongCount > tally.sum.wrongPayloads.count {
            faults.append("\(tally.wrongCount) blocks were wrong")
        }
        faults += tally.sum.failures
        if tally.sum.failedCount > 0 {
            faults.append(
                "\(tally.sum.failedCount) blocks were matched under a lease and could not be loaded"
            )
        }
        if !failedCalls.isEmpty {
            faults.append("calls to the node failed: \(Self.list(failedCallsByName)); see --timeout")
        }
        return faults
    }

    /// What is worth knowing and no fault.
    var notes: [String] {
        var notes: [String] = []
        if tally.requestCount < requestCountPlanned {
            notes.append(
                "ended early: \(tally.requestCount) of \(requestCountPlanned) requests; the figures are theirs"
            )
        }
        if tally.refusedCount > 0 { notes.append("blocks refused: \(Self.list(tally.sum.refusals))") }
        return notes
    }

    /// Calls that failed, by the reason's name.
    var failedCallsByName: [String: Int] {
        Dictionary(failedCalls.map { ($0.key.description, $0.value) }, uniquingKeysWith: +)
    }

    /// `timedOut 3, unreachable 1`: the most frequent first.
    private static func list(_ counts: [String: Int]) -> String {
        counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .prefix(5).map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    }
}
