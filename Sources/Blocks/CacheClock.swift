#if canImport(Glibc)
    internal import Glibc
#endif

/// Where the cache takes its time from; tests give a clock that they move by hand.
public protocol CacheClock: Sendable {
    /// Nanoseconds since an arbitrary point; never goes back.
    func monotonicNanoseconds() -> UInt64
    /// Milliseconds since 1970, for what is written to disk.
    func unixMilliseconds() -> UInt64
}

/// The machine's clocks.
public struct SystemClock: CacheClock {
    /// Creates the clock.
    public init() {}

    /// CLOCK_MONOTONIC.
    public func monotonicNanoseconds() -> UInt64 { Self.read(CLOCK_MONOTONIC, unitsPerSecond: 1_000_000_000) }

    /// CLOCK_REALTIME.
    public func unixMilliseconds() -> UInt64 { Self.read(CLOCK_REALTIME, unitsPerSecond: 1_000) }

    private static func read(_ clock: clockid_t, unitsPerSecond: UInt64) -> UInt64 {
        var time = timespec()
        // SAFETY: clock_gettime writes one timespec into the variable it is given.
        guard unsafe clock_gettime(clock, &time) == 0 else { return 0 }
        let seconds = UInt64(clamping: time.tv_sec)
        return seconds &* unitsPerSecond &+ UInt64(clamping: time.tv_nsec) / (1_000_000_000 / unitsPerSecond)
    }
}
