import Blocks
import DiskTier
import Glibc
import Synchronization
import TestSupport
import Testing

@Suite("Disk recovery", .serialized)
struct DiskRecoveryTests {
    /// Few bytes: every other unit makes a segment of its own.
    private static let segment = 160_000
    private static let budget = 32 << 20
    /// Every so many calls one fails; all in turn with `LARDER_FAULT_STRIDE=1`, which takes a minute.
    private static let stride =
        unsafe getenv("LARDER_FAULT_STRIDE").flatMap { unsafe Int(String(cString: $0)) } ?? 4
    // In memory where that may be mounted, which is many times faster.
    private let disk: SmallFileSystem?
    private let fixture: TierFixture

    init() throws {
        disk = SmallFileSystem.isPermitted ? try SmallFileSystem(megabytes: 64) : nil
        fixture = try disk.map { TierFixture(directory: $0.path + "/data") } ?? TierFixture()
    }

    @Test(
        "whichever call fails while units are written, the next unit is taken, and only what was confirmed stays",
        arguments: DiskFaults.Kind.allCases
    )
    func writing(kind: DiskFaults.Kind) throws {
        var tier = try fixture.open(segment: Self.segment)
        let faults = DiskFaults(kind, below: fixture.directory)
        var accepted = [Self.block(0)]
        var refused: [TestBlock] = []
        try fixture.put(accepted, into: tier)
        // Each point twice: units that make a segment and units that do not take turns.
        for step in 2... {
            let block = Self.block(2 * step)
            let failureCount = faults.during(call: Self.call(step / 2, kind)) {
                if isTaken(block, by: tier) { accepted.append(block) } else { refused.append(block) }
            }
            if accepted.last == block {
                #expect(try fixture.isRight(block, in: tier))
            } else {
                #expect(tier.summary(block.identity) == nil)
                #expect(try fixture.read(block, from: tier) == .miss)
            }
            for block in accepted.suffix(4) { #expect(try fixture.isRight(block, in: tier)) }
            accepted.append(Self.block(2 * step + 1))
            try fixture.put(accepted.suffix(1), into: tier)
            if failureCount == 0 { break }
        }
        #expect(!refused.isEmpty)
        #expect(Self.stride > 4 || tier.statistics().reopenings > 0)
        for _ in 0..<2 {
            for block in accepted { #expect(try fixture.isRight(block, in: tier)) }
            for block in refused { #expect(try fixture.read(block, from: tier) == .miss) }
            tier.close()
            tier = try fixture.open(segment: Self.segment)
            #expect(tier.openReport.missingDurableUnits == 0)
            #expect(tier.openReport.damagedUnits == 0)
            #expect(tier.openReport.setAsidePath == nil)
        }
        tier.close()
    }

    @Test(
        "whichever call fails while segments are dropped, pinned and leased blocks stay and the budget is kept",
        arguments: DiskFaults.Kind.allCases
    )
    func dropping(kind: DiskFaults.Kind) throws {
        var tier = try fixture.open(budget: Self.budget, segment: 1 << 20)
        let faults = DiskFaults(kind, below: fixture.directory)
        let pinned = TestBlock(number: 1, byteCount: 20_000, pinnedUntil: .max)
        let leased = TestBlock(number: 2, byteCount: 20_000)
        try fixture.put([pinned, leased], into: tier)
        #expect(tier.retain(leased.identity) != nil)
        var confirmed = 0
        func next() -> TestBlock { TestBlock(number: 100 + confirmed, byteCount: 1 << 20) }
        // Until the budget is used up, and each unit costs a segment.
        while tier.statistics().segmentsDropped < 2 {
            try fixture.put([next()], into: tier)
            confirmed += 1
        }
        for step in 1... {
            let call = Self.call(step, kind)
            let failureCount = faults.during(call: call) { if isTaken(next(), by: tier) { confirmed += 1 } }
            #expect(tier.statistics().directoryByteCount <= Self.budget / 20 * 21)
            for block in [pinned, leased] { #expect(try fixture.isRight(block, in: tier)) }
            if failureCount == 0 { break }
            try fixture.put([next()], into: tier)
            confirmed += 1
            #expect(tier.statistics().directoryByteCount <= Self.budget / 20 * 21)
        }
        #expect(Self.stride > 4 || tier.statistics().reopenings > 0)
        for number in 0..<confirmed {
            let block = TestBlock(number: 100 + number, byteCount: 1 << 20)
            #expect(try fixture.read(block, from: tier) != .wrong)
        }
        let count = tier.statistics().blockCount
        #expect(count > 20)
        tier.close()
        tier = try fixture.open(budget: Self.budget, segment: 1 << 20)
        #expect(tier.openReport.missingDurableUnits == 0)
        #expect(tier.statistics().blockCount == count)
        for block in [pinned, leased] { #expect(try fixture.isRight(block, in: tier)) }
        tier.close()
    }

    @Test(
        "whichever call fails while the database is opened anew, the next try goes well and nothing is lost",
        arguments: DiskFaults.Kind.allCases
    )
    func reopening(kind: DiskFaults.Kind) throws {
        for step in 1... {
            // From the start each time: opening takes more calls the more segments there are.
            let fixture = try disk.map { TierFixture(directory: "\($0.path)/\(step)") } ?? TierFixture()
            var tier = try fixture.open(segment: Self.segment)
            var accepted = (0..<3).map(Self.block)
            try fixture.put(accepted, into: tier)
            try breakManifest(of: tier, fixture)
            for block in accepted { #expect(try fixture.isRight(block, in: tier)) }
            let faults = DiskFaults(kind, below: fixture.directory)
            let block = Self.block(3)
            let failureCount = faults.during(call: Self.call(step, kind)) {
                if isTaken(block, by: tier, fixture) { accepted.append(block) }
            }
            for block in accepted { #expect(try fixture.read(block, from: tier) != .wrong) }
            accepted.append(Self.block(4))
            try fixture.put(accepted.suffix(1), into: tier)
            for _ in 0..<2 {
                for block in accepted { #expect(try fixture.isRight(block, in: tier)) }
                #expect(tier.statistics().blockCount == accepted.count)
                tier.close()
                tier = try fixture.open(segment: Self.segment)
                #expect(tier.openReport.missingDurableUnits == 0)
                #expect(tier.openReport.setAsidePath == nil)
            }
            tier.close()
            if failureCount == 0 { break }
        }
    }

    @Test("an older version of a block whose newer one was refused stays, though the disk kept the newer one")
    func olderVersions() throws {
        var tier = try fixture.open(segment: Self.segment)
        let faults = DiskFaults(.lost, below: fixture.directory, fileName: "MANIFEST")
        var blocks: [TestBlock] = []
        for step in 1... {
            let block = Self.block(step)
            // Into a segment that the last refusal closed, and into a fresh one, where the newer version comes second.
            try fixture.put([block], into: tier)
            try fixture.put([Self.block(200 + step)], into: tier)
            blocks.append(block)
            var newer = block
            newer.version = 1
            let failureCount = faults.during(call: step) {
                if isTaken(newer, by: tier) { blocks[step - 1] = newer }
            }
            try fixture.put([Self.block(100 + step)], into: tier)
            if failureCount == 0 { break }
        }
        #expect(tier.statistics().blocksCarried > 0)
        for _ in 0..<2 {
            for block in blocks { #expect(try fixture.isRight(block, in: tier)) }
            #expect(tier.statistics().blockCount == 3 * blocks.count)
            tier.close()
            tier = try fixture.open(segment: Self.segment)
        }
        tier.close()
    }

    @Test("a tier that is closed while its database waits to be opened anew has everything at the next start")
    func closedWhileBroken() throws {
        var tier = try fixture.open(segment: Self.segment)
        let blocks = (0..<5).map(Self.block)
        try fixture.put(blocks, into: tier)
        try breakManifest(of: tier)
        tier.close()
        tier = try fixture.open(segment: Self.segment)
        #expect(tier.openReport.missingDurableUnits == 0)
        for block in blocks { #expect(try fixture.isRight(block, in: tier)) }
        tier.close()
    }

    @Test("a database that cannot be opened anew is set aside, and the tier goes on empty, saying so")
    func setAside() throws {
        var tier = try fixture.open(segment: Self.segment)
        let blocks = (0..<5).map(Self.block)
        try fixture.put(blocks, into: tier)
        try breakManifest(of: tier)
        #expect(unsafe unlink(fixture.directory + "/blocks/CURRENT") == 0)
        let next = Self.block(10)
        try fixture.put([next], into: tier)
        let reopenings = fixture.reopenings.withLock { $0 }
        #expect(reopenings.count == 1 && reopenings.first?.setAsidePath != nil)
        #expect(fixture.removedCount(.evicted) == 5)
        for _ in 0..<2 {
            for block in blocks { #expect(try fixture.read(block, from: tier) == .miss) }
            #expect(try fixture.isRight(next, in: tier))
            tier.close()
            tier = try fixture.open(segment: Self.segment)
            #expect(tier.openReport.missingDurableUnits == 0)
        }
        tier.close()
    }

    @Test("readers and changes of the index meet right blocks or misses while the database is opened anew")
    func readersDuringReopenings() async throws {
        let fixture = fixture
        let tier = try fixture.open(budget: Self.budget, segment: 1 << 20)
        let blocks = (0..<20).map { TestBlock(number: $0, byteCount: 30_000, pinnedUntil: .max) }
        try fixture.put(blocks, into: tier)
        let end = End()
        try await withThrowingTaskGroup(of: Int.self) { group in
            for reader in 0..<3 {
                group.addTask {
                    var random = SeededRandom(seed: UInt64(reader))
                    var hits = 0
                    repeat {
                        let block = blocks[Int(random.next() % 20)]
                        switch try fixture.read(block, from: tier) {
                        case .right: hits += 1
                        case .miss: break
                        case .wrong: Issue.record("wrong bytes of block \(block.number)")
                        }
                        _ = tier.invalidate(TestBlock(number: 1_000 + Int(random.next() % 100)).identity)
                        _ = try tier.scan(prefix: nil, cursor: 0, count: 5) { _, _, _ in }
                        _ = tier.statistics()
                        await Task.yield()
                    } while !end.hasCome.load(ordering: .relaxed) || hits == 0
                    return hits
                }
            }
            for round in 0..<12 {
                try breakManifest(of: tier)
                for number in 0..<4 {
                    let block = TestBlock(number: 1_000 + 4 * round + number, byteCount: 1 << 20)
                    try fixture.put([block], into: tier)
                    // On one processor the readers have their turn here.
                    try await Task.sleep(for: .milliseconds(1))
                }
            }
            end.hasCome.store(true, ordering: .relaxed)
            for try await hits in group { #expect(hits > 0) }
        }
        let statistics = tier.statistics()
        #expect(statistics.reopenings == 12)
        #expect(statistics.segmentsDropped > 10)
        #expect(statistics.blocksDamaged == 0)
        for block in blocks { #expect(try fixture.isRight(block, in: tier)) }
        tier.close()
    }

    private final class End: Sendable {
        let hasCome = Atomic(false)
    }

    private static func block(_ number: Int) -> TestBlock { TestBlock(number: number, byteCount: 20_000) }

    /// The call that is to fail in a step; other ones for each kind.
    private static func call(_ step: Int, _ kind: DiskFaults.Kind) -> Int {
        let offset = DiskFaults.Kind.allCases.firstIndex(of: kind) ?? 0
        return (step - 1) * stride + 1 + offset % stride
    }

    private func isTaken(_ block: TestBlock, by tier: DiskTier, _ fixture: TierFixture? = nil) -> Bool {
        do {
            try (fixture ?? self.fixture).put([block], into: tier)
            return true
        } catch {
            return false
        }
    }

    /// Has the disk be full just when the manifest is written.
    private func breakManifest(of tier: DiskTier, _ fixture: TierFixture? = nil) throws {
        let fixture = fixture ?? self.fixture
        let faults = DiskFaults(.full, below: fixture.directory, fileName: "MANIFEST")
        _ = faults.during(call: 1) {
            #expect(throws: CacheError.self) { try fixture.put([TestBlock(number: 99_999)], into: tier) }
        }
    }
}
