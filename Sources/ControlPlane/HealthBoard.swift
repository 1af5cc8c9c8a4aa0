internal import Synchronization

/// Whether the node serves, and everyone who wants to know of changes.
final class HealthBoard: Sendable {
    enum Status: Sendable { case serving, draining, stopped }

    private struct State {
        var status = Status.serving
        var nextID: UInt64 = 0
        var watchers: [UInt64: AsyncStream<Status>.Continuation] = [:]
    }

    private let state = Mutex(State())

    /// The status now.
    var status: Status { state.withLock { $0.status } }

    /// Says that the node drains, or has stopped; there is no way back.
    func set(_ status: Status) {
        let watchers = state.withLock { state -> [AsyncStream<Status>.Continuation] in
            guard state.status != .stopped else { return [] }
            state.status = status
            return Array(state.watchers.values)
        }
        // Outside the lock, which a watcher that ends takes.
        for watcher in watchers {
            watcher.yield(status)
            if status == .stopped { watcher.finish() }
        }
    }

    /// The status now and each change; ends when the node stops.
    func changes() -> AsyncStream<Status> {
        // Three values at most: none is lost.
        let (stream, continuation) = AsyncStream.makeStream(of: Status.self, bufferingPolicy: .unbounded)
        let id = state.withLock { state in
            state.nextID += 1
            continuation.yield(state.status)
            if state.status == .stopped {
                continuation.finish()
            } else {
                state.watchers[state.nextID] = continuation
            }
            return state.nextID
        }
        continuation.onTermination = { [weak self] _ in
            self?.forget(id)
        }
        return stream
    }

    private func forget(_ id: UInt64) {
        _ = state.withLock { $0.watchers.removeValue(forKey: id) }
    }
}
