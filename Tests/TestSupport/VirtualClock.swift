public import Blocks
internal import Synchronization

/// A clock that tests move by hand. Starts at one hour monotonic and 2026-01-01.
public final class VirtualClock: CacheClock {
    private let elapsed = Atomic<UInt64>(0)

    /// Creates a clock at its start.
    public init() {}

    /// Nanoseconds: one hour and what was advanced.
    public func monotonicNanoseconds() -> UInt64 {
        3_600_000_000_000 + elapsed.load(ordering: .sequentiallyConsistent)
    }

    /// Milliseconds since 1970.
    public func unixMilliseconds() -> UInt64 {
        1_767_225_600_000 + elapsed.load(ordering: .sequentiallyConsistent) / 1_000_000
    }

    /// Moves both times forward.
    public func advance(milliseconds: UInt64) {
        elapsed.add(milliseconds * 1_000_000, ordering: .sequentiallyConsistent)
    }
}
