import Blocks
import DiskTier
import Glibc
import Synchronization
import TestSupport
import Testing

@Suite("Disk budget")
struct DiskBudgetTests {
    static let budget = 64 << 20

    @Test("the directory stays within the budget however much is written, and little is written twice")
    func budgetKept() throws {
        let fixture = try TierFixture()
        let tier = try fixture.open(budget: Self.budget)
        var largest = 0
        for start in stride(from: 0, to: 200, by: 20) {
            try fixture.put(
                (start..<(start + 20)).map { TestBlock(number: $0, byteCount: 1 << 20) },
                into: tier
            )
            let statistics = tier.statistics()
            largest = max(largest, statistics.directoryByteCount)
            #expect(statistics.accountedByteCount <= Self.budget)
        }
        let statistics = tier.statistics()
        #expect(largest <= Self.budget / 20 * 21)
        // The space is used, too.
        #expect(statistics.directoryByteCount > Self.budget / 2)
        #expect(statistics.segmentCount >= 8)
        #expect(statistics.segmentsDropped > 10)
        #expect(Double(statistics.tableByteCountWritten) < 1.02 * Double(statistics.storedByteCountWritten))
        #expect(fixture.removedCount(.evicted) == 200 - statistics.blockCount)
        // The newest are the ones that are there.
        for number in (200 - statistics.blockCount)..<200 {
            #expect(try fixture.isRight(TestBlock(number: number, byteCount: 1 << 20), in: tier))
        }
        tier.close()
        let again = try fixture.open(budget: Self.budget)
        #expect(again.openReport.blockCount == statistics.blockCount)
        #expect(again.openReport.missingDurableUnits == 0)
        again.close()
    }

    @Test("a smaller budget is kept from the start on")
    func smallerBudget() throws {
        let fixture = try TierFixture()
        var tier = try fixture.open(budget: 128 << 20)
        try fixture.put((0..<90).map { TestBlock(number: $0, byteCount: 1 << 20) }, into: tier)
        tier.close()
        tier = try fixture.open(budget: 32 << 20)
        #expect(tier.statistics().directoryByteCount <= 34 << 20)
        #expect(tier.statistics().blockCount > 10)
        tier.close()
    }

    @Test(
        "a block larger than a unit, or than a segment, is taken; one above a quarter of the budget is refused"
    )
    func largeBlocks() throws {
        let fixture = try TierFixture()
        let tier = try fixture.open(budget: Self.budget)
        let unit = try tier.beginUnit()
        for number in 0..<8 {
            try fixture.append(TestBlock(number: number, byteCount: 1_000), to: unit)
            try fixture.append(TestBlock(number: 100 + number, byteCount: 15 << 20), to: unit)
        }
        let error = #expect(throws: CacheError.self) {
            try fixture.append(TestBlock(number: 200, byteCount: 17 << 20), to: unit)
        }
        #expect(error?.code == .limitExceeded)
        try fixture.append(TestBlock(number: 201), to: unit)
        try unit.finish()
        #expect(try fixture.isRight(TestBlock(number: 107, byteCount: 15 << 20), in: tier))
        #expect(try fixture.isRight(TestBlock(number: 201), in: tier))
        let statistics = tier.statistics()
        #expect(statistics.directoryByteCount <= Self.budget / 20 * 21)
        tier.close()
    }

    @Test("the index holds no more blocks than allowed")
    func blockCount() throws {
        let fixture = try TierFixture()
        let tier = try fixture.open(blockCountMax: 2_000)
        for start in stride(from: 0, to: 6_000, by: 500) {
            try fixture.put((start..<(start + 500)).map { TestBlock(number: $0, byteCount: 20) }, into: tier)
            #expect(tier.statistics().blockCount <= 2_000)
        }
        #expect(tier.statistics().blockCount > 1_000)
        #expect(tier.statistics().segmentsDroppedByCount > 0)
        #expect(tier.statistics().segmentsDroppedByCount == tier.statistics().segmentsDropped)
        #expect(tier.statistics().indexByteCount > 88 * tier.statistics().blockCount)
        #expect(try fixture.isRight(TestBlock(number: 5_999, byteCount: 20), in: tier))
        tier.close()
    }

    @Test("a block that is carried forward while its namespace is being cleared stays cleared")
    func carriedWhileCleared() throws {
        let fixture = try TierFixture()
        let tier = try fixture.open(budget: Self.budget)
        let prefix = KeyPrefix(words: SIMD2(13, 17))
        let blocks = (0..<64)
            .map { TestBlock(number: $0, prefix: prefix, pinnedUntil: .max) }
            .sorted { $0.identity.bits < $1.identity.bits }
        try fixture.put(blocks, into: tier)
        let failure = Mutex<(any Error)?>(nil)
        // The clear has begun, and has not come to the last blocks of the index: their segment is dropped now.
        fixture.onNextRemoval {
            do {
                let others = (1_000..<1_140).map { TestBlock(number: $0, byteCount: 1 << 20) }
                try fixture.put(others, into: tier)
            } catch {
                failure.withLock { $0 = error }
            }
        }
        _ = tier.invalidateAll(prefix: prefix)
        #expect(failure.withLock { $0 == nil })
        #expect(tier.statistics().segmentsDropped > 0)
        for block in blocks { #expect(try fixture.read(block, from: tier) == .miss) }
        try fixture.flush(tier)
        tier.close()
        let reopened = try fixture.open(budget: Self.budget)
        for block in blocks { #expect(try fixture.read(block, from: reopened) == .miss) }
        reopened.close()
    }

    @Test("pinned, leased and hot blocks outlive their segment; a clean restart keeps them")
    func carried() throws {
        let fixture = try TierFixture()
        var tier = try fixture.open(budget: Self.budget)
        let pinned = TestBlock(number: 1_000, kind: .bfloat16, byteCount: 500_000, pinnedUntil: .max)
        let leased = TestBlock(number: 1_001, byteCount: 2 << 20)
        let hot = TestBlock(number: 1_002, byteCount: 100_000)
        let pinnedLater = TestBlock(number: 1_003, byteCount: 100_000)
        let plain = TestBlock(number: 1_004, byteCount: 100_000)
        try fixture.put([pinned, leased, hot, pinnedLater, plain], into: tier)
        #expect(tier.retain(leased.identity) == 2 << 20)
        #expect(tier.retain(TestBlock(number: 9_999).identity) == nil)
        #expect(tier.update(pinnedLater.identity) { $0.pinnedUntil = .max } != nil)
        fixture.makeHot(hot)
        for start in stride(from: 0, to: 160, by: 40) {
            try fixture.put(
                (start..<(start + 40)).map { TestBlock(number: $0, byteCount: 1 << 20) },
                into: tier
            )
        }
        for _ in 0..<2 {
            for block in [pinned, leased, hot, pinnedLater] { #expect(try fixture.isRight(block, in: tier)) }
            #expect(try fixture.read(plain, from: tier) == .miss)
            #expect(tier.summary(pinnedLater.identity)?.attributes.pinnedUntil == .max)
            tier.close()
            tier = try fixture.open(budget: Self.budget)
        }
        // No lease any more, no pin: now they go.
        #expect(tier.update(pinned.identity) { $0.pinnedUntil = 0 } != nil)
        for start in stride(from: 200, to: 360, by: 40) {
            try fixture.put(
                (start..<(start + 40)).map { TestBlock(number: $0, byteCount: 1 << 20) },
                into: tier
            )
        }
        #expect(try fixture.read(leased, from: tier) == .miss)
        #expect(try fixture.read(pinned, from: tier) == .miss)
        #expect(try fixture.isRight(pinnedLater, in: tier))
        tier.close()
    }

    @Test("a lease taken while its segment is dropped is either refused or kept")
    func leasedDuringDrop() throws {
        let fixture = try TierFixture()
        let tier = try fixture.open(budget: Self.budget)
        let blocks = (0..<40).map { TestBlock(number: $0, byteCount: 50_000) }
        try fixture.put(blocks, into: tier)
        let retained = Mutex<Set<Int>>([])
        let asked = Mutex(0)
        fixture.onAskingForHeat { [weak tier] in
            let number = asked.withLock { asked in
                defer { asked += 1 }
                return asked
            }
            // Blocks ask in another order than they are leased in: some are gone by then, some still to come.
            guard number < 40, tier?.retain(TestBlock(number: number, byteCount: 50_000).identity) != nil
            else {
                return
            }
            retained.withLock { _ = $0.insert(number) }
        }
        for start in stride(from: 100, to: 220, by: 40) {
            try fixture.put(
                (start..<(start + 40)).map { TestBlock(number: $0, byteCount: 1 << 20) },
                into: tier
            )
        }
        fixture.onAskingForHeat(nil)
        let kept = retained.withLock { $0 }
        #expect(!kept.isEmpty && kept.count < 40)
        for block in blocks {
            #expect(try fixture.isRight(block, in: tier) == kept.contains(block.number))
        }
        tier.close()
    }

    @Test("hot blocks take at most an eighth of a segment along")
    func hotShare() throws {
        let fixture = try TierFixture()
        let tier = try fixture.open(budget: Self.budget)
        for number in 0..<2_000 { fixture.makeHot(TestBlock(number: number)) }
        for start in stride(from: 0, to: 1_600, by: 200) {
            let blocks = (start..<(start + 200)).map { TestBlock(number: $0, byteCount: 100_000) }
            try fixture.put(blocks, into: tier)
        }
        let statistics = tier.statistics()
        #expect(statistics.blocksCarried > 0)
        #expect(Double(statistics.tableByteCountWritten) < 1.2 * Double(statistics.storedByteCountWritten))
        tier.close()
    }

    @Test("many small durable units are written together; nothing is lost, nothing deleted comes back")
    func smallUnits() throws {
        let fixture = try TierFixture()
        var tier = try fixture.open(segment: 2 << 20, unitCountMax: 40)
        for number in 0..<120 {
            try fixture.put([TestBlock(number: number, byteCount: 3_000)], into: tier)
            if number == 30 { #expect(tier.invalidate(TestBlock(number: 3).identity)) }
            if number == 50 { _ = tier.update(TestBlock(number: 4).identity) { $0.pinnedUntil = 5 } }
        }
        #expect(tier.statistics().unitCount <= 60)
        #expect(tier.statistics().blocksCarried > 60)
        for _ in 0..<2 {
            for number in 0..<120 {
                let isThere = try fixture.isRight(TestBlock(number: number, byteCount: 3_000), in: tier)
                #expect(isThere == (number != 3))
            }
            #expect(tier.summary(TestBlock(number: 4).identity)?.attributes.pinnedUntil == 5)
            #expect(tier.statistics().blockCount == 119)
            tier.close()
            tier = try fixture.open(segment: 2 << 20, unitCountMax: 40)
        }
        tier.close()
    }

    @Test("when pinned blocks fill the disk, writing is refused and reading goes on; unpinning heals it")
    func allPinned() throws {
        let fixture = try TierFixture()
        let tier = try fixture.open(budget: 32 << 20)
        var written: [TestBlock] = []
        let error = #expect(throws: CacheError.self) {
            for number in 0..<64 {
                let block = TestBlock(number: number, byteCount: 1 << 20, pinnedUntil: .max)
                try fixture.put([block], into: tier)
                written.append(block)
            }
        }
        #expect(error?.code == .limitExceeded)
        #expect(written.count > 16)
        for block in written { #expect(try fixture.isRight(block, in: tier)) }
        #expect(tier.statistics().directoryByteCount <= (32 << 20) / 20 * 21)
        for block in written { _ = tier.update(block.identity) { $0.pinnedUntil = 0 } }
        let next = TestBlock(number: 100, byteCount: 1 << 20)
        try fixture.put([next], into: tier)
        #expect(try fixture.isRight(next, in: tier))
        tier.close()
    }

    @Test("readers meet right blocks or misses while segments are dropped under them; all space returns")
    func readersDuringDrops() async throws {
        let fixture = try TierFixture()
        let tier = try fixture.open(budget: Self.budget)
        // Something to meet from the start, however late the writer gets its turn.
        try fixture.put((0..<150).map { TestBlock(number: $0, byteCount: 300_000, version: 0) }, into: tier)
        try await withThrowingTaskGroup(of: Int.self) { group in
            for reader in 0..<3 {
                group.addTask {
                    var random = SeededRandom(seed: UInt64(reader))
                    var hits = 0
                    for _ in 0..<400 {
                        let block = TestBlock(number: Int(random.next() % 150), byteCount: 300_000)
                        switch try fixture.read(block, from: tier) {
                        case .right: hits += 1
                        case .miss: await Task.yield()
                        case .wrong: Issue.record("wrong bytes of block \(block.number)")
                        }
                    }
                    return hits
                }
            }
            for round in 0..<5 {
                let blocks = (0..<150).map { TestBlock(number: $0, byteCount: 300_000, version: 0) }
                try fixture.put(round.isMultiple(of: 2) ? blocks : blocks.reversed(), into: tier)
            }
            var hits = 0
            for try await count in group { hits += count }
            #expect(hits > 0)
        }
        let statistics = tier.statistics()
        #expect(statistics.segmentsDropped > 10)
        #expect(statistics.blocksDamaged == 0)
        tier.close()
        #expect(directoryByteCount(fixture.directory) <= Self.budget)
    }

    /// Bytes of all files, by `du`, which does not share our code.
    private func directoryByteCount(_ path: String) -> Int {
        guard let pipe = unsafe popen("du -sb --apparent-size '\(path)' | cut -f1", "r") else { return .max }
        defer { unsafe pclose(pipe) }
        var line = [CChar](repeating: 0, count: 64)
        guard unsafe fgets(&line, 64, pipe) != nil else { return .max }
        let digits = line.prefix { $0 != 10 && $0 != 0 }.map { UInt8(bitPattern: $0) }
        return Int(String(decoding: digits, as: UTF8.self)) ?? .max
    }
}
