internal import Synchronization

/// What became of a client's calls.
public struct LarderClientStatistics: Hashable, Sendable {
    /// Calls made.
    public internal(set) var callCount = 0
    /// Calls that failed, by reason; in the engine's face each was a miss.
    public internal(set) var failureCounts: [LarderClientError.Code: Int] = [:]
    /// Connections made.
    public internal(set) var connectCount = 0
    /// How often the circuit breaker opened, probes that failed included.
    public internal(set) var openingCount = 0
    /// Payload bytes that were loaded.
    public internal(set) var loadedByteCount = 0
    /// Loads that were copied out of the node's own memory.
    public internal(set) var sharedLoadCount = 0
    /// Stores that were written in the node's own memory.
    public internal(set) var sharedStoreCount = 0
    /// Payloads in the node's memory that did not have their checksum: misses.
    public internal(set) var damagedPayloadCount = 0
    /// Payload bytes of blocks that were stored.
    public internal(set) var storedByteCount = 0

    /// All zero.
    public init() {}
}

/// The counters behind the statistics.
final class ClientCounters: Sendable {
    private let figures = Mutex(LarderClientStatistics())

    func count(_ change: (inout LarderClientStatistics) -> Void) {
        figures.withLock { change(&$0) }
    }

    func snapshot() -> LarderClientStatistics {
        figures.withLock { $0 }
    }
}
