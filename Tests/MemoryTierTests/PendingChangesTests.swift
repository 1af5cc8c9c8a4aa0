import Blocks
import TestSupport
import Testing

@testable import MemoryTier

@Suite("Changes that the disk does not have yet")
struct PendingChangesTests {
    private func change(_ number: Int) -> PendingChange {
        let identity = Workbench.identity(number)
        switch number % 3 {
        case 0: return PendingChange(.removal(identity), before: UInt64(number))
        case 1: return PendingChange(.clear(identity.prefix), before: .max - UInt64(number))
        default:
            return PendingChange(.times(identity, expiresAt: UInt64(number), pinnedUntil: .max), before: 7)
        }
    }

    private func pending(_ bench: Workbench) throws -> PendingChanges {
        try #require(bench.tier.pendingChanges)
    }

    @Test("what was noted and not forgotten is found in order, over many runs and round the ring")
    func ring() throws {
        let file = try FileBench()
        var bench = try file.open()
        var random = SeededRandom(seed: 5)
        var expected: [PendingChange] = []
        var number = 0
        for _ in 0..<30 {
            for _ in 0..<Int.random(in: 0..<3_000, using: &random) {
                try pending(bench).note(change(number))
                expected.append(change(number))
                number += 1
            }
            if Bool.random(using: &random) {
                let mark = try pending(bench).mark
                let later = Int.random(in: 0..<20, using: &random)
                for _ in 0..<later {
                    try pending(bench).note(change(number))
                    expected.append(change(number))
                    number += 1
                }
                try pending(bench).forget(before: mark)
                expected = Array(expected.suffix(later))
            }
            try file.reopen(&bench)
            #expect(try pending(bench).found == expected)
        }
        #expect(number > MemoryFileLayout.changeCountMax)
    }

    @Test("a full ring takes no more and counts what it lost; half of it says that it is time to write")
    func full() throws {
        let file = try FileBench()
        let bench = try file.open()
        let changes = try pending(bench)
        let countMax = MemoryFileLayout.changeCountMax
        for number in 0..<(countMax / 2 - 1) { changes.note(change(number)) }
        #expect(!changes.isHalfFull)
        changes.note(change(1))
        #expect(changes.isHalfFull)
        for number in (countMax / 2)..<(countMax + 10) { changes.note(change(number)) }
        #expect(changes.lostCount == 10)
        changes.forget(before: changes.mark)
        #expect(!changes.isHalfFull)
        changes.note(change(3))
        #expect(changes.lostCount == 10)
        #expect(try file.directoryFound(bench) == [change(3)])
    }

    @Test("a damaged place costs its change")
    func damaged() throws {
        let file = try FileBench()
        var bench = try file.open()
        for number in 0..<3 { try pending(bench).note(change(number)) }
        let layout = MemoryFileLayout(arenaByteCount: 16 << 20, blockCountMax: 4_096)
        // The ring begins at number 1.
        try file.damage(at: layout.changesOffset + 2 * 64 + 3)
        try file.reopen(&bench)
        #expect(try pending(bench).found == [change(0), change(2)])
    }
}

extension FileBench {
    /// What the next run would find.
    fileprivate func directoryFound(_ bench: Workbench) throws -> [PendingChange] {
        let changes = try #require(bench.tier.core.file)
        return unsafe PendingChanges(
            at: changes.arena.baseAddress + changes.layout.changesOffset,
            placeCount: changes.layout.changeCount,
            in: changes.arena
        ).found
    }
}
