import Testing

@testable import Engine

@Suite("A thread team")
struct ThreadTeamTests {
    @Test(
        "does every task of every step once, and what one step wrote the next one reads",
        arguments: [1, 2, 5]
    )
    func everyTask(threadCount: Int) {
        let team = ThreadTeam(threadCount: threadCount)
        // No lock: as in the engine, only the team keeps the steps apart.
        let counts = FloatMatrix(rowCount: 37, columnCount: 1)
        for step in 1...500 {
            team.perform(step % 38) { index, worker in
                counts[index, 0] += (0..<threadCount).contains(worker) ? 1 : 1_000
            }
        }
        for index in 0..<37 {
            let expected = (1...500).count { $0 % 38 > index }
            #expect(counts[index, 0] == Float(expected))
        }
    }
}
