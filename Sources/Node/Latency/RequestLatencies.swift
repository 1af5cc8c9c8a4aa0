internal import Synchronization
internal import Tiering

/// How long requests took, from when they were whole until their reply was queued: lately, and from the start on.
///
/// Waiting for space for a payload under way counts; the time that a client takes to send its request does not.
final class RequestLatencies: Sendable {
    /// What had been counted at a moment.
    private struct Mark {
        /// Monotonic nanoseconds.
        let at: UInt64
        let counts: [LatencyCounts]
        /// The longest of each kind since the mark before.
        let longest: [UInt64]
    }

    private struct State {
        var recorders: [LatencyRecorder] = []
        /// The first is the youngest that is as old as the window, or the start.
        var marks: [Mark]
        /// The longest of each kind since the last mark.
        var longest: [UInt64]
        var longestEver: [UInt64]
    }

    /// How far back "lately" reaches, at least, once the node is as old.
    static let windowNanoseconds: UInt64 = 10_000_000_000
    /// How far apart marks are, at least.
    static let markNanoseconds: UInt64 = 1_000_000_000

    private let state: Mutex<State>

    init(now: UInt64) {
        let none = RequestKind.allCases.map { _ in UInt64(0) }
        let start = Mark(at: now, counts: RequestKind.allCases.map { _ in LatencyCounts() }, longest: none)
        state = Mutex(State(marks: [start], longest: none, longestEver: none))
    }

    /// Counts for one more event loop.
    func recorder() -> LatencyRecorder {
        let recorder = LatencyRecorder()
        state.withLock { $0.recorders.append(recorder) }
        return recorder
    }

    /// Lets the window move on; to be called a few times a second.
    func look(at now: UInt64) {
        state.withLock { state in
            guard let last = state.marks.last, now >= last.at &+ Self.markNanoseconds else { return }
            let counts = Self.gather(&state)
            state.marks.append(Mark(at: now, counts: counts, longest: state.longest))
            state.longest = state.longest.map { _ in 0 }
            while state.marks.count > 1, state.marks[1].at &+ Self.windowNanoseconds <= now {
                state.marks.removeFirst()
            }
        }
    }

    /// Figures by name, in a stable order.
    func fields(at now: UInt64) -> [(name: String, value: StatisticValue)] {
        let (first, counts, longestLately, longestEver) = state.withLock { state in
            let counts = Self.gather(&state)
            let lately = state.marks.dropFirst().reduce(state.longest) { Self.longer($0, $1.longest) }
            return (state.marks.first, counts, lately, state.longestEver)
        }
        guard let first else { return [] }
        let seconds = Double(now &- min(first.at, now)) / 1e9
        var fields: [(name: String, value: StatisticValue)] = [("latency_window_seconds", .ratio(seconds))]
        for kind in RequestKind.allCases {
            let name = "latency_\(kind.fieldName)"
            let all = counts[kind.rawValue]
            fields += Self.fields(name, all.since(first.counts[kind.rawValue]), longestLately[kind.rawValue])
            fields += Self.fields("\(name)_total", all, longestEver[kind.rawValue])
        }
        return fields
    }

    /// All that was counted, by kind; brings the longest ones up to date.
    private static func gather(_ state: inout State) -> [LatencyCounts] {
        RequestKind.allCases.map { kind in
            var sum = LatencyCounts()
            for recorder in state.recorders {
                recorder.add(kind, to: &sum)
                // After the counts: what was counted is not longer than the longest.
                let longest = recorder.takeLongest(kind)
                state.longest[kind.rawValue] = max(state.longest[kind.rawValue], longest)
                state.longestEver[kind.rawValue] = max(state.longestEver[kind.rawValue], longest)
            }
            return sum
        }
    }

    private static func longer(_ one: [UInt64], _ other: [UInt64]) -> [UInt64] {
        zip(one, other).map(max)
    }

    private static func fields(
        _ name: String,
        _ counts: LatencyCounts,
        _ longest: UInt64
    ) -> [(name: String, value: StatisticValue)] {
        func microseconds(_ nanoseconds: Double) -> StatisticValue {
            // A tenth of a microsecond is more than the buckets tell apart.
            .ratio((nanoseconds / 100).rounded() / 10)
        }
        return [
            ("\(name)_requests", .integer(Int(clamping: counts.requestCount))),
            ("\(name)_p50_microseconds", microseconds(counts.percentile(0.5, longest: longest))),
            ("\(name)_p90_microseconds", microseconds(counts.percentile(0.9, longest: longest))),
            ("\(name)_p99_microseconds", microseconds(counts.percentile(0.99, longest: longest))),
            ("\(name)_max_microseconds", microseconds(Double(longest))),
        ]
    }
}
