import Blocks
import DiskTier
import TestSupport
import Testing

@Suite("Disk tier")
struct DiskTierTests {
    @Test(
        "a block of any size and kind reads back equal, before and after a restart",
        arguments: [1, 255, 4_096, 2 << 20, (2 << 20) + 1, 8 << 20],
        TestBlock.Kind.allCases
    )
    func roundTrip(byteCount: Int, kind: TestBlock.Kind) throws {
        let fixture = try TierFixture()
        let block = TestBlock(number: 1, kind: kind, byteCount: byteCount)
        var tier = try fixture.open()
        try fixture.put([block], into: tier)
        #expect(try fixture.isRight(block, in: tier))
        let stored = tier.statistics()
        if byteCount >= 4_096, kind != .noise { #expect(stored.compressionRatio > 1.05) }
        if kind == .noise { #expect(stored.compressionRatio == 1) }
        tier.close()

        tier = try fixture.open()
        #expect(tier.openReport.blockCount == 1)
        #expect(tier.openReport.damagedUnits == 0)
        #expect(tier.openReport.missingDurableUnits == 0)
        #expect(try fixture.isRight(block, in: tier))
        tier.close()
    }

    @Test("another key with the same digest, another length and another namespace are misses")
    func identity() throws {
        let fixture = try TierFixture()
        let tier = try fixture.open()
        let block = TestBlock(number: 1)
        try fixture.put([block], into: tier)
        var bytes = [UInt8](repeating: 0, count: block.byteCount)
        let otherKey = Array("block-2".utf8)
        let isFound = try unsafe bytes.withUnsafeMutableBytes { buffer in
            try unsafe tier.read(block.identity, key: otherKey.span.bytes, into: buffer) != nil
        }
        #expect(!isFound)
        #expect(try fixture.read(TestBlock(number: 1, byteCount: 999), from: tier) == .miss)
        let elsewhere = TestBlock(number: 1, prefix: KeyPrefix(words: SIMD2(7, 12)))
        #expect(try fixture.read(elsewhere, from: tier) == .miss)
        #expect(try fixture.isRight(block, in: tier))
        tier.close()
    }

    @Test("a unit that is not finished shows nothing, now and after a restart")
    func unfinished() throws {
        let fixture = try TierFixture()
        var tier = try fixture.open()
        var unit: UnitWriter? = try tier.beginUnit()
        try unit.map { try fixture.append(TestBlock(number: 1), to: $0) }
        #expect(tier.summary(TestBlock(number: 1).identity) == nil)
        #expect(throws: CacheError.self) { try tier.beginUnit() }
        unit?.cancel()
        unit = nil
        try fixture.put([TestBlock(number: 2)], into: tier)
        tier.close()
        tier = try fixture.open()
        #expect(tier.openReport.blockCount == 1)
        #expect(try fixture.read(TestBlock(number: 1), from: tier) == .miss)
        tier.close()
    }

    @Test("a newer block of the same key wins, and still does after a restart")
    func replaced() throws {
        let fixture = try TierFixture()
        var tier = try fixture.open()
        for version in 0..<3 { try fixture.put([TestBlock(number: 1, version: version)], into: tier) }
        #expect(try fixture.isRight(TestBlock(number: 1, version: 2), in: tier))
        #expect(fixture.removedCount(.replaced) == 2)
        tier.close()
        tier = try fixture.open()
        #expect(try fixture.isRight(TestBlock(number: 1, version: 2), in: tier))
        tier.close()
    }

    @Test("a deleted block stays deleted after a restart, and can be written again")
    func deleted() throws {
        let fixture = try TierFixture()
        var tier = try fixture.open()
        let block = TestBlock(number: 1)
        try fixture.put([block, TestBlock(number: 2)], into: tier)
        #expect(tier.invalidate(block.identity))
        #expect(!tier.invalidate(block.identity))
        #expect(tier.hasPendingRecords)
        #expect(try fixture.read(block, from: tier) == .miss)
        try fixture.flush(tier)
        #expect(!tier.hasPendingRecords)
        tier.close()

        tier = try fixture.open()
        #expect(try fixture.read(block, from: tier) == .miss)
        #expect(try fixture.isRight(TestBlock(number: 2), in: tier))
        try fixture.put([block], into: tier)
        tier.close()
        tier = try fixture.open()
        #expect(try fixture.isRight(block, in: tier))
        tier.close()
    }

    @Test("a delete while the block's unit is being written is kept", arguments: [false, true])
    func deletedWhileWritten(isWrittenAgain: Bool) throws {
        let fixture = try TierFixture()
        var tier = try fixture.open()
        let old = TestBlock(number: 1)
        let new = TestBlock(number: 1, version: 1)
        try fixture.put([old], into: tier)
        let unit = try tier.beginUnit()
        try fixture.append(TestBlock(number: 2), to: unit)
        try fixture.append(old, to: unit)
        #expect(tier.invalidate(old.identity))
        if isWrittenAgain { try fixture.append(new, to: unit) }
        try unit.finish()
        for _ in 0..<2 {
            #expect(try fixture.isRight(new, in: tier) == isWrittenAgain)
            #expect(try fixture.read(old, from: tier) != .right(old.header(at: 0).attributes))
            #expect(try fixture.isRight(TestBlock(number: 2), in: tier))
            tier.close()
            tier = try fixture.open()
        }
        tier.close()
    }

    @Test("a cleared namespace stays cleared after a restart; others and later blocks stay")
    func cleared() throws {
        let fixture = try TierFixture()
        var tier = try fixture.open()
        let other = KeyPrefix(words: SIMD2(1, 2))
        try fixture.put((0..<50).map { TestBlock(number: $0) }, into: tier)
        try fixture.put((0..<50).map { TestBlock(number: $0, prefix: other) }, into: tier)
        #expect(tier.invalidateAll(prefix: TestBlock(number: 0).prefix) == 50)
        #expect(tier.invalidateAll(prefix: KeyPrefix(words: SIMD2(9, 9))) == 0)
        try fixture.put([TestBlock(number: 3)], into: tier)
        for _ in 0..<2 {
            #expect(tier.statistics().blockCount == 51)
            #expect(try fixture.isRight(TestBlock(number: 3), in: tier))
            #expect(try fixture.read(TestBlock(number: 4), from: tier) == .miss)
            #expect(try fixture.isRight(TestBlock(number: 4, prefix: other), in: tier))
            tier.close()
            tier = try fixture.open()
        }
        tier.close()
    }

    @Test("time to live and pin change without writing the block again, and last over a restart")
    func updated() throws {
        let fixture = try TierFixture()
        var tier = try fixture.open()
        let now = fixture.clock.unixMilliseconds()
        let block = TestBlock(number: 1)
        let mortal = TestBlock(number: 2, expiresAt: now + 1_000)
        try fixture.put([block, mortal], into: tier)
        #expect(tier.update(block.identity) { $0.pinnedUntil = .max }?.attributes.pinnedUntil == .max)
        #expect(tier.update(mortal.identity) { $0.expiresAt = now + 5_000 } != nil)
        try fixture.flush(tier)
        fixture.clock.advance(milliseconds: 2_000)
        tier.close()
        tier = try fixture.open()
        #expect(tier.summary(block.identity)?.attributes.pinnedUntil == .max)
        #expect(tier.statistics().pinnedBlockCount == 1)
        #expect(try fixture.isRight(mortal, in: tier))
        fixture.clock.advance(milliseconds: 4_000)
        #expect(try fixture.read(mortal, from: tier) == .miss)
        #expect(tier.summary(mortal.identity) == nil)
        #expect(fixture.removedCount(.expired) == 1)
        #expect(tier.update(mortal.identity) { $0.expiresAt = 0 } == nil)
        tier.close()
    }

    @Test("a change to a block whose unit is being written is in the block when it becomes visible")
    func updatedWhileWritten() throws {
        let fixture = try TierFixture()
        var tier = try fixture.open()
        let unit = try tier.beginUnit()
        try fixture.append(TestBlock(number: 1), to: unit)
        #expect(tier.update(TestBlock(number: 1).identity) { $0.pinnedUntil = 77 } != nil)
        try unit.finish()
        for _ in 0..<2 {
            #expect(tier.summary(TestBlock(number: 1).identity)?.attributes.pinnedUntil == 77)
            tier.close()
            tier = try fixture.open()
        }
        tier.close()
    }

    @Test("a walk with a cursor visits every block of a namespace")
    func scan() throws {
        let fixture = try TierFixture()
        let tier = try fixture.open()
        let other = KeyPrefix(words: SIMD2(1, 2))
        for start in stride(from: 0, to: 90, by: 30) {
            try fixture.put((start..<(start + 30)).map { TestBlock(number: $0, byteCount: 10) }, into: tier)
            try fixture.put((0..<30).map { TestBlock(number: $0, byteCount: 10, prefix: other) }, into: tier)
        }
        #expect(tier.invalidate(TestBlock(number: 5).identity))
        var keys: [[UInt8]] = []
        var cursor: UInt64 = 0
        var rounds = 0
        repeat {
            cursor = try tier.scan(prefix: TestBlock(number: 0).prefix, cursor: cursor, count: 7) {
                _,
                key,
                summary in
                #expect(summary.payloadByteCount == 10)
                keys.append(key)
            }
            rounds += 1
        } while cursor != 0 && rounds < 1_000
        #expect(Set(keys).count == 89)
        #expect(keys.count == 89)
        #expect(rounds >= 12)
        tier.close()
    }

    @Test("a directory in use is refused, with words that help")
    func locked() throws {
        let fixture = try TierFixture()
        let tier = try fixture.open()
        let error = #expect(throws: CacheError.self) { try fixture.open() }
        #expect(error?.message.contains("in use by another node") == true)
        tier.close()
        try fixture.open().close()
    }

    @Test("after close, reads miss and writes are refused")
    func closed() throws {
        let fixture = try TierFixture()
        let tier = try fixture.open()
        try fixture.put([TestBlock(number: 1)], into: tier)
        let unit = try tier.beginUnit()
        try fixture.append(TestBlock(number: 2), to: unit)
        tier.close()
        #expect(try fixture.read(TestBlock(number: 1), from: tier) == .miss)
        #expect(throws: CacheError.self) { try unit.finish() }
        let again = try fixture.open()
        #expect(again.openReport.blockCount == 1)
        again.close()
    }
}
