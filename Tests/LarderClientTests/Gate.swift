import Foundation

/// Lets threads wait until it is opened, at most ten seconds.
final class Gate: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)

    func open() { semaphore.signal() }

    func wait() {
        _ = semaphore.wait(timeout: .now() + 10)
        semaphore.signal()
    }
}
