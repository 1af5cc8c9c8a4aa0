import Blocks
import MemoryTier
import TestSupport
import Testing

@Suite("Eviction from the memory tier")
struct EvictionTests {
    /// Blocks of about 1 MiB: fifteen fill an arena of 16 MiB.
    private static let blockByteCount = 1 << 20
    private static let blockCount = 15

    private func full(isDirty: Bool = false) throws -> Workbench {
        let bench = try Workbench()
        for number in 0..<Self.blockCount { try put(number, bench, isDirty: isDirty) }
        #expect(bench.tier.statistics().blockCount == Self.blockCount)
        return bench
    }

    @discardableResult
    private func put(_ number: Int, _ bench: Workbench, isDirty: Bool = false) throws -> BlockHandle? {
        try bench.put(number, Workbench.bytes(number, count: Self.blockByteCount), isDirty: isDirty).handle
    }

    @Test("the block used longest ago makes place, and its removal is told with its reason")
    func order() throws {
        let bench = try full()
        bench.touch(0)
        try put(100, bench)
        #expect(!bench.holds(1))
        #expect(bench.holds(0))
        let removal = try #require(bench.takeRemovals().first)
        #expect(removal.identity == Workbench.identity(1))
        #expect(removal.reason == .evicted)
        #expect(removal.summary.payloadByteCount == Self.blockByteCount)
        #expect(bench.tier.statistics().removedBlockTotal(.evicted) == 1)
    }

    @Test("a lease without a touch does not make a block newer; a touched prefix goes from its tail")
    func recency() throws {
        let bench = try full()
        _ = bench.lease(0)
        try put(100, bench)
        #expect(!bench.holds(0))
        bench.tier.touch((1..<5).reversed().compactMap { bench.tier.handle(Workbench.identity($0)) })
        for number in 101..<113 { try put(number, bench) }
        #expect((1..<5).map(bench.holds) == [true, true, true, false])
    }

    @Test("a block that is leased in the step that makes it visible outlives any pressure")
    func leasedAtCommit() throws {
        let bench = try full()
        let content = Workbench.bytes(200, count: Self.blockByteCount)
        let lease = try #require(try bench.putLeasing(200, content))
        for number in 300..<330 { try put(number, bench) }
        #expect(unsafe Array(lease.payload) == content)
        #expect(bench.holds(200))
        // The same bytes again are the block that is there.
        let again = try #require(try bench.putLeasing(200, content))
        #expect(again.handle == lease.handle)
        #expect(try bench.putLeasing(200, Workbench.bytes(201, count: Self.blockByteCount)) == nil)
    }

    @Test("leased blocks are passed over, and go first once the lease ends")
    func leased() throws {
        let bench = try full()
        var lease = bench.lease(0)
        let hold = try #require(bench.tier.retain(Workbench.identity(1)))
        try put(100, bench)
        #expect((0..<4).map(bench.holds) == [true, true, false, true])
        lease = nil
        try put(101, bench)
        #expect((0..<4).map(bench.holds) == [false, true, false, true])
        bench.tier.release(hold.handle)
        try put(102, bench)
        #expect((0..<4).map(bench.holds) == [false, false, false, true])
        #expect(lease == nil)
    }

    @Test("a leased block that was touched meanwhile is new when its lease ends")
    func leasedAndTouched() throws {
        let bench = try full()
        var lease = bench.lease(0)
        try put(100, bench)
        bench.touch(0)
        lease = nil
        try put(101, bench)
        #expect(bench.holds(0))
        #expect(!bench.holds(2))
        #expect(lease == nil)
    }

    @Test("pinned blocks stay until their pin ends or is taken off")
    func pinned() throws {
        let bench = try full()
        let end = bench.clock.unixMilliseconds() + 1_000
        for number in 0..<Self.blockCount {
            _ = bench.tier.update(Workbench.identity(number)) { $0.pinnedUntil = number == 0 ? .max : end }
        }
        #expect(bench.tier.statistics().pinnedBlockCount == Self.blockCount)
        #expect(code { try put(100, bench) } == .memoryExhausted)
        bench.clock.advance(milliseconds: 1_000)
        #expect(bench.tier.sweepExpired(blockCountMax: 10_000) == 0)
        #expect(bench.tier.statistics().pinnedBlockCount == 1)
        for number in 100..<113 { try put(number, bench) }
        #expect(bench.holds(0))
        _ = bench.tier.update(Workbench.identity(0)) { $0.pinnedUntil = 0 }
        try put(113, bench)
        try put(114, bench)
        #expect(!bench.holds(0))
        #expect(bench.tier.statistics().pinnedBlockCount == 0)
    }

    @Test("dirty blocks stay until they are clean, then go in their old order")
    func dirty() throws {
        let bench = try Workbench()
        let handles = try (0..<Self.blockCount).map { try #require(try put($0, bench, isDirty: true)) }
        #expect(bench.tier.statistics().dirtyBlockCount == Self.blockCount)
        #expect(code { try put(100, bench) } == .memoryExhausted)
        bench.tier.markClean(handles[3])
        bench.tier.markClean(handles[3])
        try put(100, bench)
        #expect(bench.takeRemovals().map(\.identity) == [Workbench.identity(3)])
        #expect(bench.tier.statistics().dirtyBlockCount == Self.blockCount - 1)
    }

    @Test("with a sick disk tier dirty blocks go too, those passed over before included")
    func dirtyEvictable() throws {
        let bench = try full(isDirty: true)
        #expect(code { try put(100, bench) } == .memoryExhausted)
        bench.tier.setDirtyEvictable(true)
        try put(100, bench, isDirty: true)
        #expect(bench.tier.statistics().removedBlockTotal(.evicted) == 1)
        bench.tier.setDirtyEvictable(false)
        #expect(code { for number in 101..<110 { try put(number, bench) } } == .memoryExhausted)
    }

    @Test("an expired block makes place before its pin ends, and counts as expired")
    func expiredMakesPlace() throws {
        let bench = try Workbench()
        for number in 0..<Self.blockCount {
            let payload = Workbench.bytes(number, count: Self.blockByteCount)
            try bench.put(number, payload, expiresIn: 10, pinnedUntil: .max, isDirty: true)
        }
        #expect(code { try put(100, bench) } == .memoryExhausted)
        bench.clock.advance(milliseconds: 10)
        #expect(bench.tier.sweepExpired(blockCountMax: 100) == Self.blockCount)
        #expect(bench.takeRemovals().allSatisfy { $0.reason == .expired })
        expectEmpty(bench.tier)
    }

    @Test("background eviction stops as soon as enough is free")
    func evictUntilFree() throws {
        let bench = try full()
        #expect(bench.tier.evict(untilFreeByteCount: 4 << 20) == 4)
        #expect((0..<6).map(bench.holds) == [false, false, false, false, true, true])
        #expect(bench.tier.evict(untilFreeByteCount: 4 << 20) == 0)
        #expect(bench.tier.evict(untilFreeByteCount: .max) == Self.blockCount - 4)
        expectEmpty(bench.tier)
    }

    @Test("more blocks than the configuration allows make place for one another")
    func blockCountMax() throws {
        let bench = try Workbench(blockCountMax: 100)
        for number in 0..<250 { try bench.put(number, [1]) }
        #expect(bench.tier.statistics().blockCount == 100)
        #expect(!bench.holds(149))
        #expect(bench.holds(150))
        let leases = (150..<250).map { bench.lease($0) }
        #expect(code { try bench.put(1, [1]) } == .memoryExhausted)
        #expect(leases.count == 100)
    }

    @Test("a large block finds a contiguous place among scattered small ones without emptying the tier")
    func regionIsCleared() throws {
        let bench = try Workbench(byteCount: 64 << 20, blockCountMax: 100_000)
        var random = SeededRandom(seed: 5)
        let payload = Workbench.bytes(1, count: 7_900)
        for number in 0..<8_000 { try bench.put(number, payload) }
        for number in (0..<8_000).shuffled(using: &random) { bench.touch(number) }
        let before = bench.tier.statistics().blockByteCount
        try bench.put(10_000, Workbench.bytes(2, count: 8 << 20))
        let statistics = bench.tier.statistics()
        #expect(bench.holds(10_000))
        #expect(before - (statistics.blockByteCount - (8 << 20)) < 28 << 20)
    }

    @Test("a leased block in the way moves the cleared region, and reservations are never in one")
    func obstacles() throws {
        let bench = try Workbench()
        for number in 0..<15 { try put(number, bench) }
        let leased = [2, 7, 12].compactMap { bench.lease($0) }
        try bench.put(100, Workbench.bytes(1, count: 4 << 20 - 8_192))
        #expect([2, 7, 12].allSatisfy(bench.holds))
        #expect(code { try bench.put(101, Workbench.bytes(1, count: 6 << 20)) } == .memoryExhausted)
        #expect(leased.map(\.bytes) == [2, 7, 12].map { Workbench.bytes($0, count: Self.blockByteCount) })
    }

    @Test("reservations together hold half of the arena at most, and one always may")
    func reservationsAreBounded() throws {
        let bench = try Workbench()
        var first: Reservation? = try bench.reserve(1, byteCount: 15 << 20)
        #expect(code { _ = try bench.reserve(2, byteCount: 100) } == .overloaded)
        first = nil
        let second = try bench.reserve(1, byteCount: 4 << 20)
        let third = try bench.reserve(2, byteCount: 3 << 20)
        #expect(code { _ = try bench.reserve(3, byteCount: 1 << 20) } == .overloaded)
        #expect(first == nil)
        #expect(second.payloadByteCount + third.payloadByteCount == 7 << 20)
    }

    private func code(_ body: () throws -> Void) -> CacheError.Code? {
        do {
            try body()
            return nil
        } catch {
            return (error as? CacheError)?.code
        }
    }
}
