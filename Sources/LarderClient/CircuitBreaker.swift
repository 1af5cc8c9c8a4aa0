/// Decides whether a node is asked at all.
///
/// A pure state machine: times and randomness are given.
///
/// Closed: every call passes. After `failureCountMax` failures in a row, or one silent timeout, it opens: every call
/// is refused at once. When its backoff is over, the next refused call is told to start a probe beside it, and the
/// probe's result closes the breaker or opens it for longer. No caller ever waits for a probe.
public struct CircuitBreaker: Sendable {
    /// When a breaker opens and how long it stays open.
    public struct Policy: Hashable, Sendable {
        /// Failures in a row that open the breaker.
        public var failureCountMax = 3
        /// First time to stay open.
        public var backoffMin = Duration.milliseconds(100)
        /// Longest time to stay open; each failed probe doubles the time up to this.
        public var backoffMax = Duration.seconds(5)
        /// How long a probe may take.
        public var probeTimeout = Duration.seconds(1)

        /// The defaults.
        public init() {}
    }

    /// What went wrong with a call.
    public enum Failure: Hashable, Sendable {
        /// Refused, reset, garbage, or slow while bytes were flowing: it counts.
        case failed
        /// The call's whole time went by without one byte: it opens the breaker, because each such call costs an
        /// engine its deadline.
        case silent
    }

    /// What to do with a call.
    public enum Admission: Hashable, Sendable {
        /// Send it.
        case pass
        /// Answer a miss.
        case refuse
        /// Answer a miss and start a probe.
        case refuseAndProbe
    }

    private enum State {
        case closed(failureCount: Int)
        case open(until: UInt64, opening: Int)
        case probing(opening: Int)
    }

    private let policy: Policy
    private var state = State.closed(failureCount: 0)

    /// How often it opened, failed probes included.
    public private(set) var openingCount = 0

    /// A closed breaker.
    public init(policy: Policy) {
        self.policy = policy
    }

    /// Whether calls pass.
    public var isClosed: Bool {
        if case .closed = state { true } else { false }
    }

    /// Decides on a call at `now`, monotonic nanoseconds.
    public mutating func admit(at now: UInt64) -> Admission {
        switch state {
        case .closed: return .pass
        case .probing: return .refuse
        case .open(let until, let opening):
            guard now >= until else { return .refuse }
            state = .probing(opening: opening)
            return .refuseAndProbe
        }
    }

    /// A call or a probe was answered.
    public mutating func succeeded() {
        state = .closed(failureCount: 0)
    }

    /// A call failed at `now`; `jitter` in 0...1 chooses within the upper half of the time to stay open.
    public mutating func failed(_ failure: Failure, at now: UInt64, jitter: Double) {
        // Calls that were under way when the breaker opened say nothing new.
        guard case .closed(let failureCount) = state else { return }
        let count = failureCount + 1
        if failure == .silent || count >= policy.failureCountMax {
            open(opening: 0, at: now, jitter)
        } else {
            state = .closed(failureCount: count)
        }
    }

    /// The probe failed at `now`.
    public mutating func probeFailed(at now: UInt64, jitter: Double) {
        guard case .probing(let opening) = state else { return }
        open(opening: opening + 1, at: now, jitter)
    }

    private mutating func open(opening: Int, at now: UInt64, _ jitter: Double) {
        openingCount += 1
        state = .open(until: now &+ backoff(opening: opening, jitter), opening: opening)
    }

    /// Nanoseconds: `backoffMin` doubled `opening` times up to `backoffMax`, of which `jitter` takes off up to half.
    private func backoff(opening: Int, _ jitter: Double) -> UInt64 {
        let smallest = policy.backoffMin.nanoseconds
        let largest = max(smallest, policy.backoffMax.nanoseconds)
        let doubled = smallest.multipliedReportingOverflow(by: 1 << UInt64(min(opening, 32)))
        let whole = doubled.overflow ? largest : min(doubled.partialValue, largest)
        return whole - UInt64(Double(whole / 2) * min(max(jitter, 0), 1))
    }
}
