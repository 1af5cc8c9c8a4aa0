internal import GRPCCore
internal import Synchronization

/// How long a call may last, from the moment at which its headers are there.
final class CallClock: Sendable {
    private enum State {
        /// The first message has not come; the call's method has not begun.
        case starting(since: ContinuousClock.Instant)
        /// The node works.
        case working
        /// The client is waited for.
        case waiting(since: ContinuousClock.Instant)
    }

    private let state = Mutex(State.starting(since: .now))
    private let deadline: ContinuousClock.Instant?
    private let timeout: Duration?
    private let limits: ControlLimits

    /// - Parameter timeout: the longest that the call may take; `nil` is without end.
    init(timeout: Duration?, _ limits: ControlLimits) {
        self.timeout = timeout
        self.limits = limits
        deadline = timeout.map { ContinuousClock.now + $0 }
    }

    /// The first message is there.
    func begin() {
        state.withLock { state in
            if case .starting = state { state = .working }
        }
    }

    /// Waits for the client, which must not take longer than the idle time.
    func waitingForClient<Value>(_ body: () async throws -> Value) async rethrows -> Value {
        state.withLock { $0 = .waiting(since: .now) }
        defer { state.withLock { $0 = .working } }
        return try await body()
    }

    /// Sleeps until the call must end, and says why.
    func timeIsOver() async throws -> ControlError {
        let clock = ContinuousClock()
        while true {
            let now = clock.now
            if let deadline, now >= deadline {
                return ControlError(
                    .deadlineExceeded,
                    "the call took longer than this node allows (\(timeout ?? .zero)); ask for less at a time"
                )
            }
            let end: ContinuousClock.Instant
            switch state.withLock({ $0 }) {
            case .starting(let since):
                end = since + limits.firstMessageTimeout
                guard now < end else {
                    return ControlError(
                        .deadlineExceeded,
                        "the call's first message was not there after \(limits.firstMessageTimeout)"
                    )
                }
            case .working: end = now + min(limits.idleTimeout, limits.firstMessageTimeout)
            case .waiting(let since):
                end = since + limits.idleTimeout
                guard now < end else {
                    return ControlError(
                        .deadlineExceeded,
                        "the client neither sent nor took anything for \(limits.idleTimeout)"
                    )
                }
            }
            try await clock.sleep(until: min(end, deadline ?? end))
        }
    }
}
