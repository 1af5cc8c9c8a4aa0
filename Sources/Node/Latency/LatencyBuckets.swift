/// The steps in which latencies are counted: eight to each doubling, so that a percentile is off by at most an eighth,
/// from 32 ns up to 2^41 ns (37 minutes).
enum LatencyBuckets {
    /// How many there are.
    static let count = 288

    private static let stepBitCount = 3
    /// Below, the first bucket; what is shorter is not told apart.
    private static let lowestExponent = 5
    private static let exponentCount = count >> stepBitCount

    /// The bucket of a latency.
    static func index(nanoseconds: UInt64) -> Int {
        let exponent = UInt64.bitWidth - 1 - (nanoseconds | 1).leadingZeroBitCount
        guard exponent >= lowestExponent else { return 0 }
        guard exponent < lowestExponent + exponentCount else { return count - 1 }
        let step = Int(nanoseconds >> UInt64(exponent - stepBitCount)) & (1 << stepBitCount - 1)
        return (exponent - lowestExponent) << stepBitCount + step
    }

    /// The latencies of a bucket, in nanoseconds: from here on, up to the next one's.
    static func lowerBound(_ index: Int) -> UInt64 {
        guard index > 0 else { return 0 }
        let exponent = min(index >> stepBitCount, exponentCount) + lowestExponent
        let step = UInt64(index & (1 << stepBitCount - 1)) | 1 << UInt64(stepBitCount)
        return step << UInt64(exponent - stepBitCount)
    }
}
