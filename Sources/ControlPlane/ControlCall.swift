internal import GRPCCore

/// A call under way: who makes it, and how long it may last.
final class ControlCall: Sendable {
    /// Set by the gate around every method.
    @TaskLocal static var current: ControlCall?

    /// Who makes it.
    let caller: Caller
    private let clock: CallClock
    /// What the call counts against, given back when the call is gone.
    private let tickets: [any Sendable]

    init(caller: Caller, clock: CallClock, tickets: [any Sendable]) {
        self.caller = caller
        self.clock = clock
        self.tickets = tickets
    }

    /// Runs a method's body within the call's time, and no longer than the client wants its answer.
    static func run<Value: Sendable>(
        _ context: ServerContext,
        _ body: @escaping @Sendable (ControlCall) async throws -> Value
    ) async throws -> Value {
        guard let call = current else { throw ControlError(.internalError, "the call passed no gate") }
        call.clock.begin()
        return try await withThrowingTaskGroup(of: Value.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await body(call) }
            group.addTask { throw try await call.clock.timeIsOver() }
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
        try await clock.waitingForClient(body)
    }
}
