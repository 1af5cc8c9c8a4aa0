internal import CPosix
internal import Synchronization
internal import Tiering

/// Gives memory back to the system that requests and replies took and no longer need: the C library keeps it otherwise.
package final class HeapTrim: Sendable {
    /// Time between two looks, milliseconds.
    private static let pauseMilliseconds = 5_000
    /// Free bytes in the heap that are worth giving back.
    private static let freeByteCountMin = 32 << 20

    private let bell = Doorbell()
    private let isStopped = Atomic<Bool>(false)

    /// Begins to look, on a thread of its own.
    package init() {
        larder_tame_malloc()
        _ = ServiceThread(name: "larder-trim") { [self] in
            while !isStopped.load(ordering: .relaxed) {
                bell.wait(milliseconds: Self.pauseMilliseconds)
                larder_trim_heap(Self.freeByteCountMin)
            }
        }
    }

    /// Ends the thread soon.
    package func stop() {
        isStopped.store(true, ordering: .relaxed)
        bell.ring()
    }
}
