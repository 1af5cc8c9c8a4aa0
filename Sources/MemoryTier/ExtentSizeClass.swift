/// The lists that free extents are sorted into by length: exact below 32 granules, then 32 per power of two.
enum ExtentSizeClass {
    /// Lists per power of two.
    static let stepCount = 32
    /// Powers of two; enough for 2^38 granules, 16 TiB.
    static let levelCount = 35

    /// The class of a length, so that every length in a higher class is larger. `granuleCount` is at least 1.
    @inline(__always)
    static func of(_ granuleCount: Int) -> Int {
        guard granuleCount >= stepCount else { return granuleCount }
        let shift = Int.bitWidth - 1 - granuleCount.leadingZeroBitCount - 5
        return (shift + 1) * stepCount + (granuleCount >> shift) & (stepCount - 1)
    }
}
