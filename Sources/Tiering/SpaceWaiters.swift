internal import Synchronization

/// Puts that wait for memory: woken when some was freed, or when their time is over, each exactly once.
final class SpaceWaiters: Sendable {
    private struct Waiter {
        let end: UInt64
        let resume: @Sendable () -> Void
    }

    private let waiters = Mutex<[Waiter]>([])

    var count: Int { waiters.withLock { $0.count } }

    /// Adds one; `end` in monotonic nanoseconds.
    func add(until end: UInt64, _ resume: @escaping @Sendable () -> Void) {
        waiters.withLock { $0.append(Waiter(end: end, resume: resume)) }
    }

    /// Wakes all.
    func wakeAll() {
        let woken = waiters.withLock { waiters in
            defer { waiters.removeAll() }
            return waiters
        }
        for waiter in woken { waiter.resume() }
    }

    /// Wakes those whose time is over.
    func wakeOverdue(now: UInt64) {
        let overdue = waiters.withLock { waiters in
            let overdue = waiters.filter { $0.end <= now }
            if !overdue.isEmpty { waiters.removeAll { $0.end <= now } }
            return overdue
        }
        for waiter in overdue { waiter.resume() }
    }
}
