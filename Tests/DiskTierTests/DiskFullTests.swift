import Blocks
import DiskTier
import TestSupport
import Testing

// Where no file system may be mounted this suite is reported as skipped, with the reason; "Disk recovery" fails the same
// calls everywhere.
@Suite("Full disk", .enabled(if: SmallFileSystem.isPermitted, "mounting a tmpfs needs to be root"))
struct DiskFullTests {
    @Test(
        "a full disk refuses units, shows nothing of them, keeps what it has, and recovers when there is space",
        arguments: [0, 40_000, 300_000, 1_500_000]
    )
    func fillFailFreeRecover(leaving: Int) throws {
        let disk = try SmallFileSystem(megabytes: 48)
        let fixture = TierFixture(directory: disk.path + "/data")
        var tier = try fixture.open(budget: 40 << 20)
        let kept = (0..<10).map { TestBlock(number: $0, byteCount: 500_000) }
        try fixture.put(kept, into: tier)
        disk.fill(leaving: leaving)
        var failed = 0
        for round in 0..<12 {
            let block = TestBlock(number: 100 + round, byteCount: 500_000)
            do {
                try fixture.put([block], into: tier)
                #expect(try fixture.isRight(block, in: tier))
            } catch let error as CacheError {
                failed += 1
                #expect(error.code == .storageFailure)
                #expect(tier.summary(block.identity) == nil)
                #expect(try fixture.read(block, from: tier) == .miss)
            }
        }
        #expect(failed > 0)
        for block in kept { #expect(try fixture.isRight(block, in: tier)) }

        disk.free()
        let after = (200..<205).map { TestBlock(number: $0, byteCount: 500_000) }
        try fixture.put(after, into: tier)
        for block in kept + after { #expect(try fixture.isRight(block, in: tier)) }
        #expect(tier.statistics().unitsFailed == failed)
        tier.close()

        tier = try fixture.open(budget: 40 << 20)
        #expect(tier.openReport.missingDurableUnits == 0)
        #expect(tier.openReport.damagedUnits == 0)
        for block in kept + after { #expect(try fixture.isRight(block, in: tier)) }
        tier.close()
    }

    @Test("a disk that runs full in any page refuses that unit, shows nothing of it, and takes the next")
    func anyPage() throws {
        let disk = try SmallFileSystem(megabytes: 6)
        let fixture = TierFixture(directory: disk.path + "/data")
        var tier = try fixture.open(budget: 40 << 20)
        var accepted: [TestBlock] = []
        var (inTable, inManifest) = (0, 0)
        // First page by page, until a unit fits to the page. Then as often as it takes the manifest to use up what was
        // set apart for it: it grows by some hundred bytes with each unit.
        for number in 0..<2_000 where inManifest < 2 {
            disk.fill(leaving: inTable * 4_096)
            let block = TestBlock(number: number, byteCount: 200)
            do {
                try fixture.put([block], into: tier)
                accepted.append(block)
                disk.free()
            } catch let error as CacheError {
                #expect(tier.summary(block.identity) == nil)
                #expect(try fixture.read(block, from: tier) == .miss)
                for block in accepted.suffix(10) { #expect(try fixture.isRight(block, in: tier)) }
                if error.message.contains("MANIFEST") { inManifest += 1 } else { inTable += 1 }
                disk.free()
                accepted.append(TestBlock(number: 10_000 + number, byteCount: 200))
                try fixture.put(accepted.suffix(1), into: tier)
            }
            for block in accepted.suffix(2) { #expect(try fixture.isRight(block, in: tier)) }
        }
        #expect(inTable > 0)
        #expect(inManifest == 2)
        #expect(tier.statistics().reopenings == 2)
        for _ in 0..<2 {
            for block in accepted { #expect(try fixture.isRight(block, in: tier)) }
            #expect(tier.statistics().blockCount == accepted.count)
            tier.close()
            tier = try fixture.open(budget: 40 << 20)
            #expect(tier.openReport.missingDurableUnits == 0)
        }
        tier.close()
    }

    @Test("a disk smaller than the budget: segments can still be dropped, and deletes are kept for later")
    func deleteOnFullDisk() throws {
        let disk = try SmallFileSystem(megabytes: 48)
        let fixture = TierFixture(directory: disk.path + "/data")
        var tier = try fixture.open(budget: 256 << 20, unit: 2 << 20, segment: 4 << 20)
        let first = TestBlock(number: 0, byteCount: 500_000)
        var error: CacheError?
        do {
            for number in 0..<200 {
                try fixture.put([TestBlock(number: number, byteCount: 500_000)], into: tier)
            }
        } catch let caught as CacheError {
            error = caught
        }
        #expect(error?.code == .storageFailure)
        disk.fill()
        #expect(tier.invalidate(first.identity))
        #expect(throws: CacheError.self) { try fixture.flush(tier) }
        #expect(tier.hasPendingRecords)
        disk.free()
        tier.close()
        // Not durable: nobody was told so. The block is back, and can be deleted for good.
        tier = try fixture.open(budget: 32 << 20)
        #expect(tier.statistics().directoryByteCount <= 34 << 20)
        try fixture.put([TestBlock(number: 500, byteCount: 500_000)], into: tier)
        #expect(try fixture.isRight(TestBlock(number: 500, byteCount: 500_000), in: tier))
        tier.close()
    }

    @Test("a file system that refuses direct reads is read through the page cache")
    func withoutDirectReads() throws {
        let disk = try SmallFileSystem(megabytes: 48)
        let fixture = TierFixture(directory: disk.path + "/data")
        let tier = try fixture.open(budget: 32 << 20)
        try fixture.put([TestBlock(number: 1, kind: .text, byteCount: 3 << 20)], into: tier)
        #expect(try fixture.isRight(TestBlock(number: 1, kind: .text, byteCount: 3 << 20), in: tier))
        tier.close()
    }
}
