import Synchronization
import Testing

@testable import Engine

@Suite("A thread team")
struct ThreadTeamTests {
    @Test("does every task of every step once and is done when it says so", arguments: [1, 2, 5])
    func everyTask(threadCount: Int) {
        let team = ThreadTeam(threadCount: threadCount)
        let counts = Mutex([Int](repeating: 0, count: 37))
        for step in 1...500 {
            let taskCount = step % 38
            team.perform(taskCount) { index, worker in
                counts.withLock { $0[index] += (0..<threadCount).contains(worker) ? 1 : 1_000 }
            }
        }
        let expected = (0..<37).map { index in (1...500).count { $0 % 38 > index } }
        #expect(counts.withLock { $0 } == expected)
    }
}
