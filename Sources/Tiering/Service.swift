internal import Dispatch
internal import Foundation
internal import Synchronization

/// A named thread that may block, and can be joined. The cooperative pool never waits for a disk; these do.
package final class ServiceThread: Sendable {
    private let ended = DispatchSemaphore(value: 0)

    /// Starts the thread; it ends when `body` returns.
    package init(name: String, _ body: @escaping @Sendable () -> Void) {
        let ended = self.ended
        let thread = Thread {
            body()
            ended.signal()
        }
        thread.name = name
        thread.stackSize = 1 << 20
        thread.start()
    }

    /// Waits until `body` has returned. Call once.
    package func join() {
        ended.wait()
    }
}

/// A place where one thread sleeps until it is woken or its time is over.
package final class Doorbell: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)
    private let isRung = Atomic<Bool>(false)

    /// A bell that nobody has rung.
    package init() {}

    /// Wakes the sleeper, or its next sleep. Many rings before it looks are one.
    package func ring() {
        if !isRung.exchange(true, ordering: .acquiringAndReleasing) { semaphore.signal() }
    }

    /// Sleeps until rung, or for `milliseconds`.
    package func wait(milliseconds: Int) {
        if semaphore.wait(timeout: .now() + .milliseconds(max(0, milliseconds))) == .success {
            isRung.store(false, ordering: .releasing)
        }
    }
}
