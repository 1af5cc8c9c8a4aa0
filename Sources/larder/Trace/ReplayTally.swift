internal import Histogram

/// What became of the requests of a replay so far.
struct ReplayTally: Sendable {
    /// How long requests took, in nanoseconds.
    typealias Latencies = Histogram<UInt64>

    /// Requests done.
    private(set) var requestCount = 0
    /// Their sums.
    private(set) var sum = ReplayedRequest()
    /// Loaded payloads that were wrong.
    private(set) var wrongCount = 0
    private(set) var requestLatencies = Self.noLatencies
    private(set) var matchLatencies = Self.noLatencies
    private(set) var loadLatencies = Self.noLatencies
    private(set) var storeLatencies = Self.noLatencies

    /// Most sentences that are kept about wrong payloads, and about those that could not be loaded.
    private static let sentenceCountMax = 5

    /// Adds a request; loads and stores are timed where there were some.
    mutating func add(_ request: ReplayedRequest) {
        requestCount += 1
        sum.blockCount += request.blockCount
        sum.matchedCount += request.matchedCount
        sum.diskCount += request.diskCount
        sum.hitCount += request.hitCount
        sum.loadedCount += request.loadedCount
        sum.inputTokenCount += request.inputTokenCount
        sum.hitTokenCount += request.hitTokenCount
        sum.storedCount += request.storedCount
        sum.existingCount += request.existingCount
        sum.refusals.merge(request.refusals) { $0 + $1 }
        wrongCount += request.wrongPayloads.count
        let room = Self.sentenceCountMax - sum.wrongPayloads.count
        sum.wrongPayloads += request.wrongPayloads.prefix(room)
        sum.failures += request.failures.prefix(Self.sentenceCountMax - sum.failures.count)
        requestLatencies.record(min(request.latency, Self.latencyMax))
        matchLatencies.record(min(request.matching, Self.latencyMax))
        if request.loading > 0 { loadLatencies.record(min(request.loading, Self.latencyMax)) }
        if request.storing > 0 { storeLatencies.record(min(request.storing, Self.latencyMax)) }
    }

    /// Blocks that the node did not take.
    var refusedCount: Int { sum.refusals.values.reduce(0, +) }

    /// Hits of the blocks asked for, per cent.
    var hitPercent: Double { Self.percent(sum.hitCount, of: sum.blockCount) }

    /// Tokens that were hit of those asked for, per cent.
    var hitTokenPercent: Double { Self.percent(sum.hitTokenCount, of: sum.inputTokenCount) }

    private static func percent(_ part: Int, of whole: Int) -> Double {
        whole == 0 ? 0 : 100 * Double(part) / Double(whole)
    }

    /// An hour.
    private static let latencyMax: UInt64 = 3_600_000_000_000

    private static var noLatencies: Latencies {
        Latencies(
            lowestDiscernibleValue: 1_000,
            highestTrackableValue: latencyMax,
            numberOfSignificantValueDigits: .three
        )
    }
}
