import Foundation

/// A thread for each step of a test that blocks on sockets, so that other tests keep the threads of the cooperative pool.
final class BlockingExecutor: TaskExecutor {
    static let shared = BlockingExecutor()

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = unsafe asUnownedTaskExecutor()
        Thread { unsafe job.runSynchronously(on: executor) }.start()
    }
}
