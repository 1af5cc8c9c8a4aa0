/// How many requests of one kind took how long.
struct LatencyCounts: Hashable, Sendable {
    /// Requests in each bucket.
    private(set) var buckets: [UInt64]

    /// None.
    init() {
        buckets = Array(repeating: 0, count: LatencyBuckets.count)
    }

    /// Adds requests to a bucket; more than there are buckets is the last one.
    mutating func add(_ requestCount: UInt64, at index: Int) {
        buckets[min(max(index, 0), buckets.count - 1)] &+= requestCount
    }

    /// All requests.
    var requestCount: UInt64 { buckets.reduce(0, &+) }

    /// What was counted since `earlier`.
    func since(_ earlier: LatencyCounts) -> LatencyCounts {
        var difference = self
        for (index, count) in earlier.buckets.enumerated() {
            difference.buckets[index] = difference.buckets[index] &- min(difference.buckets[index], count)
        }
        return difference
    }

    /// The latency, in nanoseconds, that a part of the requests did not exceed; 0 without requests.
    ///
    /// - Parameters:
    ///   - part: 0 to 1.
    ///   - longest: the longest one, which no percentile exceeds.
    func percentile(_ part: Double, longest: UInt64) -> Double {
        let rank = max(1, (part * Double(requestCount)).rounded(.up))
        var before = 0.0
        for (index, count) in buckets.enumerated() where count > 0 {
            let upTo = before + Double(count)
            if upTo >= rank {
                let lower = Double(LatencyBuckets.lowerBound(index))
                let upper = Double(LatencyBuckets.lowerBound(index + 1))
                return min(lower + (upper - lower) * (rank - before) / Double(count), Double(longest))
            }
            before = upTo
        }
        return 0
    }
}
