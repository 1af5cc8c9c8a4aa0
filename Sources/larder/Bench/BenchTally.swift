internal import Histogram

/// What one connection, or all of them, did in one round.
struct BenchTally: Sendable {
    /// Operations completed in the timed part.
    var operationCount = 0
    /// Payload bytes of those operations, both ways.
    var payloadByteCount = 0
    /// Keys of those operations.
    var keyCount = 0
    /// What was wrong with them.
    var faults = BenchReplyCheck.Faults()
    /// When the last of them was complete, monotonic nanoseconds.
    var endedAt: UInt64 = 0
    /// From the request's first byte to the reply's last, nanoseconds.
    var latencies = Histogram<UInt64>(
        lowestDiscernibleValue: 1_000,
        highestTrackableValue: 120_000_000_000,
        numberOfSignificantValueDigits: .three
    )

    mutating func add(_ other: BenchTally) {
        operationCount += other.operationCount
        payloadByteCount += other.payloadByteCount
        keyCount += other.keyCount
        faults += other.faults
        endedAt = max(endedAt, other.endedAt)
        latencies.add(other.latencies)
    }
}

/// One round's figures.
struct BenchFigures: Hashable, Sendable {
    var operationsPerSecond: Double
    var keysPerSecond: Double
    /// 1e9 payload bytes a second.
    var gigabytesPerSecond: Double
    /// Microseconds.
    var p50: Double
    var p99: Double
    var p999: Double
    var slowest: Double

    init(_ tally: BenchTally, nanoseconds: UInt64) {
        let seconds = max(Double(nanoseconds), 1) / 1e9
        operationsPerSecond = Double(tally.operationCount) / seconds
        keysPerSecond = Double(tally.keyCount) / seconds
        gigabytesPerSecond = Double(tally.payloadByteCount) / seconds / 1e9
        func microseconds(_ percentile: Double) -> Double {
            Double(tally.latencies.valueAtPercentile(percentile)) / 1_000
        }
        p50 = microseconds(50)
        p99 = microseconds(99)
        p999 = microseconds(99.9)
        slowest = microseconds(100)
    }
}

/// The middle of several rounds, and how far they spread.
struct BenchSpread: Hashable, Sendable {
    let median: Double
    let smallest: Double
    let largest: Double
    /// Every round's value, in order.
    let rounds: [Double]

    /// `nil` for no rounds.
    ///
    /// The middle of an even number is the mean of the two in the middle.
    init?(_ values: [Double]) {
        let sorted = values.sorted()
        guard let first = sorted.first, let last = sorted.last else { return nil }
        smallest = first
        largest = last
        rounds = values
        let middle = sorted.count / 2
        median = sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }

    /// How many times `first` is of `second`, round by round: rounds side by side share the machine's mood.
    static func ratios(_ first: [Double], _ second: [Double]) -> BenchSpread? {
        BenchSpread(zip(first, second).compactMap { $1 > 0 ? $0 / $1 : nil })
    }
}
