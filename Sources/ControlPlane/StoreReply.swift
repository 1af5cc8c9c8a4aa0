internal import Synchronization

/// Waits for what is told by a closure, or for the end of the task that waits: a disk that answers late, or
/// never, holds nobody up.
final class StoreReply<Value: Sendable>: Sendable {
    private enum State {
        case empty
        case waiting(CheckedContinuation<Value, any Error>)
        case filled(Result<Value, any Error>)
        case taken
    }

    private let state = Mutex(State.empty)

    /// Starts something with the closure that it is to call once, and waits for that.
    static func wait(_ start: (@escaping @Sendable (Value) -> Void) -> Void) async throws -> Value {
        let reply = StoreReply()
        start { reply.fill(.success($0)) }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { reply.deliver(to: $0) }
        } onCancel: {
            reply.fill(.failure(CancellationError()))
        }
    }

    private func deliver(to continuation: CheckedContinuation<Value, any Error>) {
        let result: Result<Value, any Error>? = state.withLock { state in
            guard case .filled(let result) = state else {
                state = .waiting(continuation)
                return nil
            }
            state = .taken
            return result
        }
        if let result { continuation.resume(with: result) }
    }

    private func fill(_ result: Result<Value, any Error>) {
        let continuation: CheckedContinuation<Value, any Error>? = state.withLock { state in
            switch state {
            case .empty: state = .filled(result)
            case .waiting(let continuation):
                state = .taken
                return continuation
            case .filled, .taken: break
            }
            return nil
        }
        continuation?.resume(with: result)
    }
}
