import Blocks
import MemoryTier
import TestSupport
import Testing

@Suite("Memory tier")
struct MemoryTierTests {
    @Test(
        "a block is invisible until it is committed, then read as it was written",
        arguments: [1, 63, 64, 65, 1 << 20]
    )
    func roundTrip(byteCount: Int) throws {
        let bench = try Workbench()
        let payload = Workbench.bytes(1, count: byteCount)
        let reservation = try bench.reserve(1, byteCount: byteCount)
        #expect(reservation.payloadByteCount == byteCount)
        #expect(unsafe UInt(bitPattern: reservation.payload.baseAddress) % 64 == 0)
        unsafe reservation.payload.copyBytes(from: payload)
        #expect(!bench.holds(1))
        let attributes = BlockAttributes(
            tokenCount: 16,
            elementType: .float8e5m2,
            createdAt: 3,
            pinnedUntil: 4
        )
        let outcome = bench.tier.commit(
            reservation,
            attributes: attributes,
            payloadChecksum: 77,
            replaces: false,
            isDirty: false
        )
        let lease = try #require(bench.lease(1))
        #expect(outcome == .stored(lease.handle))
        #expect(lease.bytes == payload)
        #expect(lease.attributes == attributes)
        #expect(lease.payloadChecksum == 77)
        #expect(lease.identity == Workbench.identity(1))
        #expect(lease.keyBytes == Workbench.key(1))
        #expect(
            bench.tier.summary(lease.identity)
                == BlockSummary(payloadByteCount: byteCount, payloadChecksum: 77, attributes: attributes)
        )
        #expect(bench.tier.lease(lease.handle)?.bytes == payload)
    }

    @Test("what is reserved and not committed goes back, and nothing of it is ever seen")
    func abandonedReservation() throws {
        let bench = try Workbench()
        do {
            let reservation = try bench.reserve(1, byteCount: 5_000)
            #expect(bench.tier.statistics().reservedByteCount == 5_248)
            #expect(bench.tier.statistics().reservationCount == 1)
            _ = reservation
        }
        #expect(bench.tier.statistics().usedByteCount == 0)
        #expect(bench.tier.statistics().reservedByteCount == 0)
        #expect(!bench.holds(1))
    }

    @Test("first writer wins: the same bytes exist, other bytes conflict, and neither takes space")
    func firstWriterWins() throws {
        let bench = try Workbench()
        let payload = Workbench.bytes(1, count: 1_000)
        let handle = try bench.put(1, payload).handle
        let used = bench.tier.statistics().usedByteCount
        #expect(try bench.put(1, payload).handle == handle)
        #expect(try bench.put(1, Workbench.bytes(2, count: 1_000)) == .conflict)
        #expect(try bench.put(1, Workbench.bytes(1, count: 999)) == .conflict)
        #expect(bench.tier.statistics().usedByteCount == used)
        #expect(bench.tier.statistics().storedBlockTotal == 1)
        #expect(bench.lease(1)?.bytes == payload)
    }

    @Test("replacing shows the new bytes at once, while a lease keeps the old ones")
    func replace() throws {
        let bench = try Workbench()
        let old = Workbench.bytes(1, count: 1_000)
        let new = Workbench.bytes(2, count: 2_000)
        try bench.put(1, old)
        var lease = bench.lease(1)
        try bench.put(1, new, replaces: true)
        #expect(bench.takeRemovals().map(\.reason) == [.replaced])
        #expect(lease?.bytes == old)
        #expect(bench.lease(1)?.bytes == new)
        #expect(bench.tier.statistics().departingBlockCount == 1)
        let used = bench.tier.statistics().usedByteCount
        lease = nil
        #expect(bench.tier.statistics().departingBlockCount == 0)
        #expect(bench.tier.statistics().usedByteCount == used - 1_216)
    }

    @Test("a key that differs from the stored one is a miss, even under the same identity")
    func keyIsCompared() throws {
        let bench = try Workbench()
        try bench.put(1, [1, 2, 3])
        #expect(bench.lease(1, key: Array("block-2".utf8)) == nil)
        #expect(bench.lease(1, key: Array("block-".utf8)) == nil)
        #expect(bench.lease(1, key: Array("block-11".utf8)) == nil)
        #expect(bench.lease(1) != nil)
    }

    @Test("an expired block is never returned, swept or not, and its place can be taken")
    func expiry() throws {
        let bench = try Workbench()
        let handle = try #require(try bench.put(1, [1], expiresIn: 1_000).handle)
        try bench.put(2, [2], expiresIn: 2_000)
        bench.clock.advance(milliseconds: 999)
        #expect(bench.lease(1) != nil)
        bench.clock.advance(milliseconds: 1)
        #expect(bench.lease(1) == nil)
        #expect(bench.tier.lease(handle) == nil)
        #expect(bench.tier.summary(Workbench.identity(1)) == nil)
        #expect(bench.tier.handle(Workbench.identity(1)) == nil)
        #expect(bench.tier.retain(Workbench.identity(1)) == nil)
        #expect(bench.tier.update(Workbench.identity(1)) { $0.expiresAt = 0 } == nil)
        #expect(bench.tier.statistics().blockCount == 2)
        #expect(try bench.put(1, [9]).isStored)
        #expect(bench.takeRemovals().map(\.reason) == [.expired])
        bench.clock.advance(milliseconds: 1_000)
        #expect(bench.tier.sweepExpired(blockCountMax: 1_000) == 1)
        #expect(bench.takeRemovals().map(\.identity) == [Workbench.identity(2)])
        #expect(bench.tier.statistics().blockCount == 1)
    }

    @Test("sweeps in small steps meet every block")
    func sweepInSteps() throws {
        let bench = try Workbench()
        for number in 0..<1_000 { try bench.put(number, [1], expiresIn: number % 2 == 0 ? 10 : nil) }
        bench.clock.advance(milliseconds: 10)
        var removed = 0
        for _ in 0..<150 { removed += bench.tier.sweepExpired(blockCountMax: 7) }
        #expect(removed == 500)
        #expect(bench.tier.statistics().blockCount == 500)
    }

    @Test("removing unlinks at once and the last lease frees the bytes")
    func removal() throws {
        let bench = try Workbench()
        let payload = Workbench.bytes(1, count: 4_096)
        try bench.put(1, payload)
        var first = bench.lease(1)
        var second = bench.lease(1)
        let summary = bench.tier.remove(Workbench.identity(1), reason: .deleted)
        #expect(summary?.payloadByteCount == 4_096)
        #expect(bench.tier.remove(Workbench.identity(1), reason: .deleted) == nil)
        #expect(bench.lease(1) == nil)
        #expect(bench.takeRemovals().map(\.reason) == [.deleted])
        let handle = try #require(first?.handle)
        #expect(bench.tier.lease(handle) == nil)
        first = nil
        #expect(second?.bytes == payload)
        #expect(bench.tier.statistics().leasedBlockCount == 1)
        #expect(bench.tier.statistics().departingByteCount == bench.tier.statistics().usedByteCount)
        second = nil
        expectEmpty(bench.tier)
        #expect(bench.takeRemovals().isEmpty)
    }

    @Test("a hold keeps a block like a lease, and stale handles do nothing")
    func holds() throws {
        let bench = try Workbench(shardCount: 1)
        try bench.put(1, [1, 2, 3])
        let hold = try #require(bench.tier.retain(Workbench.identity(1)))
        #expect(hold.byteCount == bench.tier.statistics().usedByteCount)
        #expect(bench.tier.evict(untilFreeByteCount: .max) == 0)
        bench.tier.release(hold.handle)
        bench.tier.release(hold.handle)
        #expect(bench.tier.statistics().leasedBlockCount == 0)
        #expect(bench.tier.evict(untilFreeByteCount: .max) == 1)
        try bench.put(2, [4], isDirty: true)
        let other = try #require(bench.tier.retain(Workbench.identity(2)))
        // The same place, another occupant.
        #expect(other.handle.slot == hold.handle.slot)
        bench.tier.release(hold.handle)
        bench.tier.markClean(hold.handle)
        bench.tier.touch([hold.handle])
        #expect(bench.tier.lease(hold.handle) == nil)
        #expect(bench.tier.statistics().leasedBlockCount == 1)
        #expect(bench.tier.statistics().dirtyBlockCount == 1)
        bench.tier.release(other.handle)
        #expect(bench.tier.statistics().leasedBlockCount == 0)
    }

    @Test("clearing a prefix leaves the others' blocks alone")
    func removeAll() throws {
        let bench = try Workbench()
        let other = KeyPrefix(words: SIMD2(21, 22))
        for number in 0..<700 {
            try bench.put(number, [1])
            if number % 7 == 0 { try bench.put(number, [2], prefix: other) }
        }
        let lease = bench.lease(5)
        #expect(bench.tier.removeAll(prefix: Workbench.prefix, reason: .cleared) == 700)
        #expect(bench.tier.statistics().blockCount == 100)
        #expect(
            bench.takeRemovals().allSatisfy {
                $0.reason == .cleared && $0.identity.prefix == Workbench.prefix
            }
        )
        #expect(lease?.bytes == [1])
        #expect(bench.lease(7, prefix: other)?.bytes == [2])
    }

    @Test("changed attributes are seen at once")
    func update() throws {
        let bench = try Workbench()
        try bench.put(1, [1], expiresIn: 50)
        let end = bench.clock.unixMilliseconds() + 500
        let summary = bench.tier.update(Workbench.identity(1)) { $0.expiresAt = end }
        #expect(summary?.attributes.expiresAt == end)
        bench.clock.advance(milliseconds: 499)
        #expect(bench.lease(1)?.attributes.expiresAt == end)
        bench.clock.advance(milliseconds: 1)
        #expect(bench.lease(1) == nil)
    }

    @Test("a scan meets each block once, with its key and hits, whatever the step")
    func scan() throws {
        let bench = try Workbench()
        for number in 0..<600 {
            try bench.put(number, [1, 2], prefix: number % 3 == 0 ? Workbench.prefix : .init(words: .one))
        }
        for _ in 0..<4 { _ = bench.lease(3) }
        for count in [1, 7, 1_000] {
            var seen: [[UInt8]: UInt32] = [:]
            var cursor: UInt64 = 0
            repeat {
                var visited = 0
                cursor = bench.tier.scan(prefix: Workbench.prefix, cursor: cursor, count: count) {
                    identity,
                    key,
                    summary,
                    hits in
                    visited += 1
                    #expect(identity.prefix == Workbench.prefix)
                    #expect(summary.payloadByteCount == 2)
                    #expect(seen.updateValue(hits, forKey: key) == nil)
                }
                #expect(visited <= count)
            } while cursor != 0
            #expect(seen.count == 200)
            #expect(seen[Workbench.key(3)] == 4)
            #expect(seen[Workbench.key(6)] == 0)
        }
        #expect(bench.tier.scan(prefix: nil, cursor: .max, count: 10) { _, _, _, _ in } == 0)
    }

    @Test("the blocks of a prefix are counted, expired ones not")
    func count() throws {
        let bench = try Workbench()
        let other = KeyPrefix(words: SIMD2(21, 22))
        for number in 0..<2_000 {
            try bench.put(
                number,
                [1],
                prefix: number % 4 == 0 ? other : Workbench.prefix,
                expiresIn: number < 100 ? 5 : nil
            )
        }
        #expect(bench.tier.blockCount(prefix: Workbench.prefix) == 1_500)
        bench.clock.advance(milliseconds: 5)
        #expect(bench.tier.blockCount(prefix: Workbench.prefix) == 1_425)
        #expect(bench.tier.blockCount(prefix: other) == 475)
        #expect(bench.tier.blockCount(prefix: KeyPrefix(words: .zero)) == 0)
    }

    @Test("keys and payloads out of bounds are refused before anything is taken")
    func bounds() throws {
        let bench = try Workbench()
        let cases: [(keyByteCount: Int, payloadByteCount: Int, code: CacheError.Code)] = [
            (0, 1, .invalidArgument), (513, 1, .invalidArgument), (5, 0, .invalidArgument),
            (5, -1, .invalidArgument),
            (5, 16 << 20, .limitExceeded), (5, .max, .limitExceeded),
        ]
        for (keyByteCount, payloadByteCount, code) in cases {
            let key = [UInt8](repeating: 1, count: keyByteCount)
            let error = #expect(throws: CacheError.self) {
                try bench.tier.reserve(
                    Workbench.identity(1),
                    key: unsafe key.span.bytes,
                    payloadByteCount: payloadByteCount
                )
            }
            #expect(error?.code == code)
        }
        expectEmpty(bench.tier)
    }
}

/// All space is one free extent and nothing is counted any more.
func expectEmpty(_ tier: MemoryTier, sourceLocation: SourceLocation = #_sourceLocation) {
    let statistics = tier.statistics()
    var expected = MemoryStatistics()
    expected.arenaByteCount = statistics.arenaByteCount
    expected.freeByteCount = statistics.arenaByteCount
    expected.claimedByteCount = statistics.claimedByteCount
    expected.largestFreeByteCount = statistics.arenaByteCount
    expected.storedBlockTotal = statistics.storedBlockTotal
    expected.removedBlockTotals = statistics.removedBlockTotals
    expected.removedByteTotals = statistics.removedByteTotals
    expected.prefaultedByteCount = statistics.prefaultedByteCount
    #expect(statistics == expected, sourceLocation: sourceLocation)
    #expect(
        statistics.removedBlockTotals.reduce(0, +) == statistics.storedBlockTotal,
        sourceLocation: sourceLocation
    )
}
