import Blocks
import DiskTier
import Foundation
import TestSupport
import Testing

@Suite("Disk damage")
struct DiskDamageTests {
    /// Rounds of damage; `LARDER_SOAK=1000` makes a soak of it.
    ///
    /// The seed is printed and can be given.
    static let rounds = ProcessInfo.processInfo.environment["LARDER_SOAK"].flatMap(Int.init) ?? 100
    static let seed =
        ProcessInfo.processInfo.environment["LARDER_SEED"].flatMap(UInt64.init)
        ?? UInt64.random(in: 0 ... .max)

    @Test("whatever is flipped or cut in a stopped directory, each read is right or a miss")
    func randomDamage() throws {
        print("damage: \(Self.rounds) rounds, LARDER_SEED=\(Self.seed)")
        var random = SeededRandom(seed: Self.seed)
        let fixture = try TierFixture()
        let original = TierFixture(directory: fixture.directory + "/original")
        let blocks = try writeVariedBlocks(original)
        var tally = (right: 0, miss: 0, setAside: 0)
        for round in 0..<Self.rounds {
            let copy = TierFixture(directory: fixture.directory + "/copy")
            try? FileManager.default.removeItem(atPath: copy.directory)
            try FileManager.default.copyItem(atPath: original.directory, toPath: copy.directory)
            let what = try (0..<3).map { _ in try damage(copy.directory, &random) }.joined(separator: ", ")
            let tier = try copy.open(budget: 64 << 20)
            if tier.openReport.setAsidePath != nil { tally.setAside += 1 }
            for block in blocks {
                switch try copy.read(block, from: tier) {
                case .right: tally.right += 1
                case .miss: tally.miss += 1
                case .wrong: Issue.record("wrong bytes in round \(round), seed \(Self.seed): \(what)")
                }
            }
            // Blocks that were replaced or deleted never come back.
            #expect(try copy.read(TestBlock(number: 9, byteCount: 5_000), from: tier) == .miss, "\(what)")
            #expect(try copy.read(TestBlock(number: 8, byteCount: 70_000), from: tier) == .miss, "\(what)")
            // And the tier still takes new ones.
            try copy.put([TestBlock(number: 500)], into: tier)
            #expect(try copy.isRight(TestBlock(number: 500), in: tier), "\(what)")
            tier.close()
        }
        print("damage: \(tally)")
        #expect(tally.right > 0 && tally.miss > 0)
    }

    @Test(
        "a database without CURRENT or MANIFEST is set aside, and the tier starts empty",
        arguments: [
            "CURRENT", "MANIFEST", "FORMAT",
        ]
    )
    func unusable(file: String) throws {
        let fixture = try TierFixture()
        let blocks = try writeVariedBlocks(fixture)
        let database = fixture.directory + "/blocks"
        for name in try FileManager.default.contentsOfDirectory(atPath: database) where name.hasPrefix(file) {
            try FileManager.default.removeItem(atPath: database + "/" + name)
        }
        var tier = try fixture.open(budget: 64 << 20)
        #expect(tier.openReport.blockCount == 0)
        #expect(tier.openReport.missingDurableUnits > 0)
        let path = try #require(tier.openReport.setAsidePath)
        #expect(FileManager.default.fileExists(atPath: path))
        #expect(tier.openReport.setAsideReason?.isEmpty == false)
        #expect(try fixture.read(blocks[0], from: tier) == .miss)
        try fixture.put([TestBlock(number: 77)], into: tier)
        tier.close()

        tier = try fixture.open(budget: 64 << 20)
        #expect(tier.openReport.setAsidePath == nil)
        #expect(tier.openReport.missingDurableUnits == 0)
        #expect(try fixture.isRight(TestBlock(number: 77), in: tier))
        // What was set aside is the first to go when room is needed.
        try fixture.put((1_000..<1_060).map { TestBlock(number: $0, byteCount: 1 << 20) }, into: tier)
        #expect(!FileManager.default.fileExists(atPath: path))
        tier.close()
    }

    @Test("a durable unit that is gone is reported")
    func missingUnit() throws {
        let fixture = try TierFixture()
        let copy = TierFixture(directory: fixture.directory + "/b")
        let live = TierFixture(directory: fixture.directory + "/a")
        var tier = try live.open()
        try live.put([TestBlock(number: 1)], into: tier)
        tier.close()
        // The database goes back in time; the mark does not.
        try FileManager.default.copyItem(atPath: live.directory, toPath: copy.directory)
        tier = try live.open()
        try live.put([TestBlock(number: 2)], into: tier)
        try live.put([TestBlock(number: 3)], into: tier)
        tier.close()
        try FileManager.default.removeItem(atPath: copy.directory + "/durable-mark")
        try FileManager.default.copyItem(
            atPath: live.directory + "/durable-mark",
            toPath: copy.directory + "/durable-mark"
        )
        tier = try copy.open()
        #expect(tier.openReport.missingDurableUnits == 2)
        #expect(try copy.isRight(TestBlock(number: 1), in: tier))
        tier.close()
        tier = try copy.open()
        #expect(tier.openReport.missingDurableUnits == 0)
        tier.close()
    }

    @Test("what a crash left of an unfinished unit is removed")
    func leftovers() throws {
        let fixture = try TierFixture()
        try fixture.open().close()
        let leftover = fixture.directory + "/blocks/unit-99.tmp"
        #expect(FileManager.default.createFile(atPath: leftover, contents: Data(count: 1_000)))
        try fixture.open().close()
        #expect(!FileManager.default.fileExists(atPath: leftover))
    }

    @Test("a segment with many damaged blocks is given up; what can be saved of it is")
    func condemned() throws {
        let fixture = try TierFixture()
        var tier = try fixture.open(budget: 64 << 20)
        let pinned = TestBlock(number: 1, byteCount: 50_000, pinnedUntil: .max)
        let blocks = (2..<42).map { TestBlock(number: $0, byteCount: 20_000) }
        let old = TestBlock(number: 90)
        try fixture.put([old], into: tier)
        // A second segment, which hides the block of the first.
        try fixture.put((100..<105).map { TestBlock(number: $0, byteCount: 1 << 20) }, into: tier)
        #expect(tier.invalidate(old.identity))
        try fixture.put([pinned] + blocks, into: tier)
        tier.close()

        // The newest table: flip a bit in every 20 kB behind the pinned block.
        let database = fixture.directory + "/blocks"
        let tables = try FileManager.default.contentsOfDirectory(atPath: database).filter {
            $0.hasSuffix(".sst")
        }
        let newest = try #require(tables.max()).self
        var bytes = try Data(contentsOf: URL(filePath: database + "/" + newest))
        for offset in stride(from: 60_000, to: bytes.count - 60_000, by: 20_000) { bytes[offset] ^= 4 }
        try bytes.write(to: URL(filePath: database + "/" + newest))

        tier = try fixture.open(budget: 64 << 20)
        for block in blocks { #expect(try fixture.read(block, from: tier) != .wrong) }
        #expect(tier.statistics().blocksDamaged > 16)
        #expect(tier.hasPendingRecords)
        let segments = tier.statistics().segmentCount
        try fixture.flush(tier)
        #expect(tier.statistics().segmentsDropped == 1)
        #expect(tier.statistics().segmentCount <= segments)
        #expect(!tier.hasPendingRecords)
        for _ in 0..<2 {
            #expect(try fixture.isRight(pinned, in: tier))
            #expect(try fixture.read(old, from: tier) == .miss)
            tier.close()
            tier = try fixture.open(budget: 64 << 20)
        }
        tier.close()
    }

    /// Several segments with raw and coded blocks of many sizes, a deleted and a replaced block.
    private func writeVariedBlocks(_ fixture: TierFixture) throws -> [TestBlock] {
        let tier = try fixture.open(budget: 64 << 20, unit: 200 << 10, segment: 1 << 20)
        var blocks: [TestBlock] = []
        for number in 10..<40 {
            let kind = TestBlock.Kind.allCases[number % 3]
            blocks.append(TestBlock(number: number, kind: kind, byteCount: 100 + number * number * 60))
        }
        try fixture.put(
            [TestBlock(number: 8, byteCount: 70_000), TestBlock(number: 9, byteCount: 5_000)],
            into: tier
        )
        try fixture.put(blocks, into: tier)
        _ = tier.invalidate(TestBlock(number: 8).identity)
        let newer = TestBlock(number: 9, byteCount: 6_000, version: 1)
        try fixture.put([newer], into: tier)
        try fixture.put([TestBlock(number: 7)], into: tier)
        tier.close()
        return blocks + [newer]
    }

    /// Flips a bit, or cuts the end off, of one file.
    ///
    /// Says what it did.
    private func damage(_ directory: String, _ random: inout SeededRandom) throws -> String {
        let files = try FileManager.default.subpathsOfDirectory(atPath: directory).sorted().filter { path in
            let attributes = try? FileManager.default.attributesOfItem(atPath: directory + "/" + path)
            return attributes?[.type] as? FileAttributeType == .typeRegular
                && (attributes?[.size] as? Int ?? 0) > 0
        }
        let tables = files.filter { $0.hasSuffix(".sst") }
        let choice = random.next() % 3 == 0 || tables.isEmpty ? files : tables
        let path = choice[Int(random.next() % UInt64(choice.count))]
        let url = URL(filePath: directory + "/" + path)
        var bytes = try Data(contentsOf: url)
        let offset = Int(random.next() % UInt64(bytes.count))
        let bit = UInt8(random.next() % 8)
        let isCut = random.next() % 4 == 0
        if isCut { bytes.removeLast(bytes.count - offset) } else { bytes[offset] ^= 1 << bit }
        try bytes.write(to: url)
        return isCut ? "\(path) cut at \(offset)" : "\(path) bit \(bit) at \(offset) flipped"
    }
}
