internal import Foundation
internal import Synchronization

/// A fixed number of threads, the caller among them, that share the tasks of one step after another.
///
/// Who computes which task is left to chance; every task computes its own elements whole, so results do not depend
/// on it.
package final class ThreadTeam: Sendable {
    /// Threads, the caller's included.
    package let threadCount: Int
    private let board = Board()

    /// Starts `threadCount - 1` threads, at most 255; they end with the team.
    package init(threadCount: Int) {
        self.threadCount = min(max(1, threadCount), 256)
        for worker in 1..<self.threadCount {
            let thread = Thread { [board] in board.work(as: worker) }
            thread.name = "engine-\(worker)"
            thread.start()
        }
    }

    deinit { board.stop() }

    /// Runs `task` for 0..<taskCount, each once, and returns when all are done.
    ///
    /// Not to be called from a task or from two threads at once. `worker` is in `0..<threadCount` and never the same
    /// for two tasks that run at one time: an index for scratch memory.
    package func perform(_ taskCount: Int, _ task: @Sendable (_ index: Int, _ worker: Int) -> Void) {
        guard taskCount > 1, threadCount > 1 else {
            for index in 0..<max(0, taskCount) { task(index, 0) }
            return
        }
        withoutActuallyEscaping(task) { task in
            let step = Step(taskCount: taskCount, task: task)
            board.post(step)
            step.run(as: 0)
            board.finish()
        }
    }
}

/// One step: tasks that are handed out by a counter.
private final class Step: Sendable {
    private let taskCount: Int
    private let task: @Sendable (Int, Int) -> Void
    private let next = Atomic<Int>(0)

    init(taskCount: Int, task: @escaping @Sendable (Int, Int) -> Void) {
        self.taskCount = taskCount
        self.task = task
    }

    func run(as worker: Int) {
        while true {
            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
            guard index < taskCount else { return }
            task(index, worker)
        }
    }
}

/// Where steps are posted. All fields are guarded by `condition`.
private final class Board: @unchecked Sendable {
    private let condition = NSCondition()
    private var step: Step?
    private var stepNumber = 0
    private var busyCount = 0
    private var isStopped = false

    func post(_ step: Step) {
        condition.withLock {
            self.step = step
            stepNumber += 1
            condition.broadcast()
        }
    }

    /// Takes the step down and waits for those who are still at it; what they wrote is visible afterwards.
    func finish() {
        condition.withLock {
            step = nil
            while busyCount > 0 { condition.wait() }
        }
    }

    func stop() {
        condition.withLock {
            isStopped = true
            condition.broadcast()
        }
    }

    func work(as worker: Int) {
        var seenNumber = 0
        while runStep(after: &seenNumber, as: worker) {
            condition.withLock {
                busyCount -= 1
                if busyCount == 0 { condition.broadcast() }
            }
        }
    }

    /// A call of its own, so that the step is let go before the thread says that it has finished: the step's closure
    /// must not outlive `perform`.
    @inline(never)
    private func runStep(after seenNumber: inout Int, as worker: Int) -> Bool {
        guard let step = nextStep(after: &seenNumber) else { return false }
        step.run(as: worker)
        return true
    }

    private func nextStep(after seenNumber: inout Int) -> Step? {
        condition.lock()
        defer { condition.unlock() }
        while !isStopped {
            if let step, stepNumber != seenNumber {
                seenNumber = stepNumber
                busyCount += 1
                return step
            }
            condition.wait()
        }
        return nil
    }
}
