import Blocks
import Foundation
import TestSupport
import Testing
import Tiering

@Suite("A store whose memory outlives it")
struct RestartTests {
    @Test("blocks that no disk has yet are back, and are written then")
    func dirtyBlocks() async throws {
        let restarting = try RestartingStore()
        for number in 0..<30 { try restarting.put(number, content(number, byteCount: 50_000)) }
        for _ in 0..<3 { try restarting.restart() }
        let statistics = try restarting.store.statistics()
        #expect(statistics.integer("memory_recovered_blocks") == 30)
        #expect(statistics.integer("write_queue_blocks") == 30)
        #expect(statistics.integer("memory_dirty_bytes") == statistics.integer("memory_used_bytes"))
        for number in 0..<30 {
            #expect(try await restarting.get(number) == content(number, byteCount: 50_000))
        }
        #expect(try restarting.store.statistics().integer("hits_memory") == 30)
        try restarting.restart(drains: true)
        #expect(try restarting.store.statistics().integer("write_queue_blocks") == 0)
        try restarting.restartWithoutMemory()
        for number in 0..<30 {
            #expect(try await restarting.get(number) == content(number, byteCount: 50_000))
        }
        #expect(try restarting.store.statistics().integer("hits_disk") == 30)
    }

    @Test("blocks that the disk has are clean, and not written again")
    func cleanBlocks() async throws {
        let restarting = try RestartingStore()
        for number in 0..<30 { try restarting.put(number, content(number, byteCount: 50_000)) }
        try await restarting.writeOut()
        try restarting.put(30, content(30, byteCount: 50_000))
        try restarting.restart()
        #expect(try restarting.store.statistics().integer("write_queue_blocks") == 1)
        #expect(try restarting.store.drain(within: .seconds(60)) { _, _ in } == 0)
        #expect(try restarting.store.statistics().integer("write_blocks") == 1)
    }

    @Test("a deletion that was answered holds, although the disk had not heard of it")
    func deletions() async throws {
        let restarting = try RestartingStore()
        for number in 0..<10 { try restarting.put(number, content(number, byteCount: 50_000)) }
        try await restarting.writeOut()
        try restarting.restartWithoutMemory()
        #expect(try await restarting.get(1) != nil)
        #expect(try restarting.store.delete(restarting.space(), keys: batch([1, 2])) == 2)
        // Put again after it was deleted: the later one counts, in both tiers.
        #expect(try restarting.store.delete(restarting.space(), keys: batch([3])) == 1)
        try restarting.put(3, content(33, byteCount: 60_000))
        try restarting.restart()
        #expect(try await restarting.get(1) == nil)
        #expect(try await restarting.get(2) == nil)
        #expect(try await restarting.get(3) == content(33, byteCount: 60_000))
        try restarting.restart(drains: true)
        try restarting.restartWithoutMemory()
        for number in 0..<10 {
            let expected = number == 3 ? content(33, byteCount: 60_000) : content(number, byteCount: 50_000)
            #expect(try await restarting.get(number) == (number == 1 || number == 2 ? nil : expected))
        }
    }

    @Test("a replaced value is the newer one, although the disk has the older")
    func replacements() async throws {
        let restarting = try RestartingStore()
        for number in 0..<4 { try restarting.put(number, content(number, byteCount: 50_000)) }
        try await restarting.writeOut()
        for number in 0..<3 {
            try restarting.put(number, content(100 + number, byteCount: 40_000)) { $0.replaces = true }
        }
        // And one that has gone since: its older copy on disk must not come back for it.
        #expect(
            try restarting.store.expires(restarting.space(), 2, at: restarting.clock.unixMilliseconds() + 5)
        )
        restarting.clock.advance(milliseconds: 10)
        try restarting.restart()
        #expect(try await restarting.get(0) == content(100, byteCount: 40_000))
        #expect(try await restarting.get(2) == nil)
        try restarting.restart(drains: true)
        try restarting.restartWithoutMemory()
        #expect(try await restarting.get(0) == content(100, byteCount: 40_000))
        #expect(try await restarting.get(1) == content(101, byteCount: 40_000))
        #expect(try await restarting.get(2) == nil)
        #expect(try await restarting.get(3) == content(3, byteCount: 50_000))
    }

    @Test("a space that was cleared stays empty, and what was put there since is there")
    func clears() async throws {
        let restarting = try RestartingStore()
        for number in 0..<10 { try restarting.put(number, content(number, byteCount: 50_000)) }
        try await restarting.writeOut()
        #expect(try restarting.store.clear(restarting.space()) == 12)
        try restarting.put(4, content(44, byteCount: 1_000))
        try restarting.restart()
        for number in 0..<10 {
            #expect(try await restarting.get(number) == (number == 4 ? content(44, byteCount: 1_000) : nil))
        }
        try restarting.restart(drains: true)
        try restarting.restartWithoutMemory()
        for number in 0..<10 {
            #expect(try await restarting.get(number) == (number == 4 ? content(44, byteCount: 1_000) : nil))
        }
    }

    @Test("the time of a block that is on disk alone is remembered")
    func times() async throws {
        let restarting = try RestartingStore()
        for number in 0..<3 { try restarting.put(number, content(number, byteCount: 50_000)) }
        try await restarting.writeOut()
        try restarting.restartWithoutMemory()
        let end = restarting.clock.unixMilliseconds() + 1_000
        #expect(try restarting.store.expires(restarting.space(), 1, at: end))
        try restarting.restart()
        #expect(try restarting.store.holds(restarting.space(), 1))
        restarting.clock.advance(milliseconds: 2_000)
        #expect(try await restarting.get(1) == nil)
        #expect(try await restarting.get(2) == content(2, byteCount: 50_000))
    }

    @Test("what a lost disk had is written again from memory")
    func lostDisk() async throws {
        let restarting = try RestartingStore()
        for number in 0..<10 { try restarting.put(number, content(number, byteCount: 50_000)) }
        try await restarting.writeOut()
        try restarting.restart {
            try FileManager.default.removeItem(atPath: restarting.fixture.directory.path + "/blocks")
        }
        #expect(try restarting.store.statistics().integer("write_queue_blocks") == 12)
        try restarting.restart(drains: true)
        try restarting.restartWithoutMemory()
        for number in 0..<10 {
            #expect(try await restarting.get(number) == content(number, byteCount: 50_000))
        }
    }

    @Test("bytes that changed in memory meanwhile are served from disk, or a miss, and never written")
    func damaged() async throws {
        let restarting = try RestartingStore()
        for number in 0..<2 { try restarting.put(number, content(number, byteCount: 50_000)) }
        try await restarting.writeOut()
        try restarting.put(2, content(2, byteCount: 50_000))
        try restarting.restart {
            // All of them, at their last byte.
            let file = try FileHandle(forUpdating: URL(filePath: restarting.filePath))
            let arena = try #require(try file.read(upToCount: 1 << 20))
            for number in 0..<3 {
                let range = try #require(arena.firstRange(of: Data(content(number, byteCount: 50_000))))
                try file.seek(toOffset: UInt64(range.upperBound - 1))
                try file.write(contentsOf: Data([arena[range.upperBound - 1] ^ 1]))
            }
            try file.close()
        }
        #expect(try await restarting.get(0) == content(0, byteCount: 50_000))
        // Stored anew, or found on disk where the damage was found out first.
        let outcome = try restarting.store.put(restarting.space(), 1, content(1, byteCount: 50_000)).outcome
        #expect(outcome == .stored || outcome == .exists)
        try restarting.restart(drains: true)
        try restarting.restartWithoutMemory()
        #expect(try await restarting.get(1) == content(1, byteCount: 50_000))
        #expect(try await restarting.get(2) == nil)
        #expect(try await restarting.get(0) == content(0, byteCount: 50_000))
    }

    @Test("what is not asked for is proved in the background")
    func background() async throws {
        let restarting = try RestartingStore()
        for number in 0..<10 { try restarting.put(number, content(number, byteCount: 1 << 20)) }
        try restarting.restart()
        let end = ContinuousClock.now + .seconds(60)
        while try restarting.store.statistics().integer("memory_recovered_unverified") > 0,
            ContinuousClock.now < end
        {
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(try restarting.store.statistics().integer("memory_recovered_verified") == 10)
    }

    /// What a client that saw every answer knows.
    @Test("whatever was answered before the store ended is so after it", arguments: 1...5)
    func randomOperations(seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        let restarting = try RestartingStore(diskMebibytes: 512)
        var model: [Int: [UInt8]] = [:]
        for round in 0..<12 {
            for _ in 0..<80 {
                let number = Int.random(in: 0..<40, using: &random)
                switch Int.random(in: 0..<20, using: &random) {
                case 0..<11:
                    let bytes = content(
                        Int.random(in: 0..<1_000, using: &random),
                        byteCount: Int.random(in: 1...60_000, using: &random)
                    )
                    try restarting.put(number, bytes) { $0.replaces = true }
                    model[number] = bytes
                case 11..<16:
                    let count = try restarting.store.delete(restarting.space(), keys: batch([number]))
                    #expect((count == 1) == (model.removeValue(forKey: number) != nil))
                case 16: try await restarting.writeOut()
                case 17 where Int.random(in: 0..<12, using: &random) == 0:
                    _ = try restarting.store.clear(restarting.space())
                    model = [:]
                default: #expect(try await restarting.get(number) == model[number])
                }
            }
            try restarting.restart(drains: round % 5 == 4)
            for number in 0..<40 {
                let found = try await restarting.get(number)
                #expect(found == model[number], "round \(round), block \(number)")
            }
        }
        try restarting.restart(drains: true)
        try restarting.restartWithoutMemory()
        for number in 0..<40 { #expect(try await restarting.get(number) == model[number]) }
    }
}
