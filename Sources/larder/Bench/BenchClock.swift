internal import Blocks

/// Monotonic nanoseconds.
enum BenchClock {
    private static let clock = SystemClock()

    static func now() -> UInt64 { clock.monotonicNanoseconds() }
}
