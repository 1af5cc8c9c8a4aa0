internal import Synchronization

/// Puts that wait for memory: each is woken once, when some may have been freed.
final class SpaceWaiters: Sendable {
    private let waiters = Mutex<[@Sendable () -> Void]>([])

    var count: Int { waiters.withLock { $0.count } }

    /// Adds one.
    func add(_ resume: @escaping @Sendable () -> Void) {
        waiters.withLock { $0.append(resume) }
    }

    /// Wakes all.
    func wakeAll() {
        let woken = waiters.withLock { waiters in
            defer { waiters.removeAll() }
            return waiters
        }
        for resume in woken { resume() }
    }
}
