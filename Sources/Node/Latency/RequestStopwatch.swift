internal import Blocks

/// Measures one connection's requests, one at a time, with one look at the clock for each that follows another at once,
/// and two otherwise. Confined to the connection's event loop.
struct RequestStopwatch {
    private let recorder: LatencyRecorder
    private let clock: any CacheClock
    /// The request under way: its kind, and when it began.
    private var running: (kind: RequestKind, since: UInt64)?
    /// When the last request ended, while nothing has been done since.
    private var endedAt: UInt64?
    /// How long the request that is still being received has waited for the node.
    private var waitedNanoseconds: UInt64 = 0

    init(recorder: LatencyRecorder, clock: any CacheClock) {
        self.recorder = recorder
        self.clock = clock
    }

    /// A whole request is there; returns the time. Nothing is measured without a kind.
    @discardableResult
    mutating func begin(_ kind: RequestKind?) -> UInt64 {
        let now = endedAt ?? clock.monotonicNanoseconds()
        running = kind.map { ($0, now &- waitedNanoseconds) }
        waitedNanoseconds = 0
        return now
    }

    /// The request's reply is queued.
    mutating func end() {
        endedAt = nil
        waitedNanoseconds = 0
        guard let (kind, since) = running else { return }
        let now = clock.monotonicNanoseconds()
        running = nil
        endedAt = now
        recorder.record(kind, nanoseconds: now &- min(since, now))
    }

    /// Something else than a request is worked on: the next one does not begin where the last one ended.
    mutating func timePasses() {
        endedAt = nil
    }

    /// The request that is being received had to wait for the node since then.
    mutating func waited(since began: UInt64) {
        let now = clock.monotonicNanoseconds()
        waitedNanoseconds &+= now &- min(began, now)
    }
}
