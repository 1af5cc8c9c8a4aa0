extension Duration {
    /// Whole nanoseconds, 0 for negative durations, at most about 292 years.
    package var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let capped = min(UInt64(seconds), 9_000_000_000)
        return capped * 1_000_000_000 + UInt64(attoseconds) / 1_000_000_000
    }

    /// Whole milliseconds, at least 1, for the wire.
    package var wireMilliseconds: Int {
        Int(clamping: max(1, nanoseconds / 1_000_000))
    }
}
