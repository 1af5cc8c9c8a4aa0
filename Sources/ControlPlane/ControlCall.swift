internal import GRPCCore
internal import Synchronization

/// A call under way: who makes it, and how long it may last.
final class ControlCall: Sendable {
    /// Set by the gate around every method.
    @TaskLocal static var current: ControlCall?

    /// Who makes it.
    let caller: Caller
    private let deadline: ContinuousClock.Instant?
    private let timeout: Duration?
    private let idleTimeout: Duration
    private let ticket: CountedTicket
    /// Since when the client is waited for.
    private let waitingSince = Mutex<ContinuousClock.Instant?>(nil)

    init(caller: Caller, timeout: Duration?, idleTimeout: Duration, ticket: CountedTicket) {
        self.caller = caller
        self.timeout = timeout
        self.idleTimeout = idleTimeout
        self.ticket = ticket
        deadline = timeout.map { ContinuousClock.now + $0 }
    }

    /// Runs a method's body within the call's time, and no longer than the client wants its answer.
    static func run<Value: Sendable>(
        _ context: ServerContext,
        _ body: @escaping @Sendable (ControlCall) async throws -> Value
    ) async throws -> Value {
        guard let call = current else { throw ControlError(.internalError, "the call passed no gate") }
        return try await withThrowingTaskGroup(of: Value.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await body(call) }
            group.addTask { throw try await call.timeIsOver() }
            group.addTask {
                try await context.cancellation.cancelled
                throw ControlError(.cancelled, "the client or the node ended the call")
            }
            guard let value = try await group.next() else {
                throw ControlError(.internalError, "the call ended without an answer")
            }
            return value
        }
    }

    /// Waits for the client, which must not take longer than the idle time.
    func waitingForClient<Value>(_ body: () async throws -> Value) async rethrows -> Value {
        waitingSince.withLock { $0 = .now }
        defer { waitingSince.withLock { $0 = nil } }
        return try await body()
    }

    /// Sleeps until the call must end, and says why.
    private func timeIsOver() async throws -> ControlError {
        let clock = ContinuousClock()
        while true {
            let now = clock.now
            let waiting = waitingSince.withLock { $0 }
            if let deadline, now >= deadline {
                return ControlError(
                    .deadlineExceeded,
                    "the call took longer than this node allows (\(timeout ?? .zero)); ask for less at a time"
                )
            }
            let idleEnd = (waiting ?? now) + idleTimeout
            guard now < idleEnd else {
                return ControlError(
                    .deadlineExceeded,
                    "the client neither sent nor took anything for \(idleTimeout)"
                )
            }
            try await clock.sleep(until: min(idleEnd, deadline ?? idleEnd))
        }
    }
}
