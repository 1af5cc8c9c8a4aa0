/// Ages in buckets, two to a doubling: what is a moment, and what is an hour, depends on the cache.
enum AgeScale {
    /// Buckets; the last one has no end.
    static let bucketCount = 48

    /// The bucket of an age in ticks.
    static func bucket(of age: UInt32) -> Int {
        guard age >= 4 else { return Int(age) }
        let exponent = 31 - age.leadingZeroBitCount
        return min(exponent * 2 + Int(age >> UInt32(exponent - 1) & 1), bucketCount - 1)
    }

    /// The first age of a bucket, ticks.
    static func start(of bucket: Int) -> Double {
        guard bucket >= 4 else { return Double(bucket) }
        let power = Double(UInt64(1) << UInt64(bucket / 2))
        return bucket % 2 == 0 ? power : power * 1.5
    }

    /// Ticks from a bucket's start to the next one's.
    static func width(of bucket: Int) -> Double { start(of: bucket + 1) - start(of: bucket) }
}
