import Blocks
import TestSupport
import Testing
import Tiering

@Suite("A store without a disk tier")
struct MemoryOnlyTests {
    let fixture: StoreFixture
    let clock = VirtualClock()

    init() throws {
        fixture = try StoreFixture(clock: clock)
    }

    @Test("gives back what was put, and a miss for what was not")
    func roundTrip() async throws {
        let store = try fixture.open()
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        for byteCount in [1, 63, 64, 4_096, 1 << 20] {
            #expect(
                try store.put(space, byteCount, content(byteCount, byteCount: byteCount)).outcome == .stored
            )
        }
        #expect(
            try await store.get(space, [63, 5, 1 << 20]) == [
                content(63, byteCount: 63), nil, content(1 << 20, byteCount: 1 << 20),
            ]
        )
        #expect(try store.why(space, 63) == .memory)
        #expect(try store.why(space, 5) == .neverSeen)
        #expect(store.blockCount(space) == 5)
    }

    @Test("keeps tenants and databases apart")
    func separation() async throws {
        let store = try fixture.open()
        defer { store.close() }
        let mine = store.space(tenant: .default, database: 0)
        let others = [
            store.space(tenant: try Tenant("other"), database: 0), store.space(tenant: .default, database: 1),
        ]
        _ = try store.put(mine, 1, [1, 2, 3])
        for other in others {
            #expect(try await store.get(other, [1]) == [nil])
            #expect(try !store.holds(other, 1))
            #expect(store.delete(other, keys: try batch([1])) == 0)
            #expect(store.clear(other) == 0)
        }
        #expect(try await store.get(mine, [1]) == [[1, 2, 3]])
    }

    @Test("the first writer wins, the same bytes exist, other bytes are refused, unless a put replaces")
    func firstWriterWins() async throws {
        let store = try fixture.open()
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        #expect(try store.put(space, 1, [1, 2, 3]).outcome == .stored)
        #expect(try store.put(space, 1, [1, 2, 3]).outcome == .exists)
        #expect(try store.put(space, 1, [9, 9, 9]).outcome == .conflict)
        #expect(try store.put(space, 1, [1, 2]).outcome == .conflict)
        #expect(try await store.get(space, [1]) == [[1, 2, 3]])
        #expect(try store.put(space, 1, [9]) { $0.replaces = true }.outcome == .stored)
        #expect(try await store.get(space, [1]) == [[9]])
        #expect(store.statistics().integer("puts_conflict") == 2)
    }

    @Test("a block expires on time, and its miss says so")
    func expiry() async throws {
        let store = try fixture.open()
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        _ = try store.put(space, 1, [1]) { $0.timeToLive = .seconds(10) }
        _ = try store.put(space, 2, [2])
        clock.advance(milliseconds: 9_000)
        #expect(try store.holds(space, 1))
        #expect(try store.expires(space, 2, at: clock.unixMilliseconds() + 1_000))
        clock.advance(milliseconds: 1_001)
        #expect(try await store.get(space, [1, 2]) == [nil, nil])
        #expect(store.blockCount(space) == 0)
    }

    @Test("a full memory evicts the least recently used block and remembers that it did")
    func eviction() async throws {
        let store = try fixture.open()
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        for number in 0..<40 {
            #expect(try store.put(space, number, content(number, byteCount: 1 << 20)).outcome == .stored)
            // The first block stays in use.
            #expect(try store.isInMemory(space, 0))
        }
        #expect(try store.why(space, 1) == .evicted)
        #expect(try store.why(space, 39) == .memory)
        #expect(try await store.get(space, [39]) == [content(39, byteCount: 1 << 20)])
    }

    @Test("a match counts leading blocks, stops at a hole, and its lease keeps them until it ends")
    func matchAndLease() async throws {
        let store = try fixture.open()
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        let owner = LeaseOwner(connectionID: 1)
        for number in [0, 1, 2, 4] { _ = try store.put(space, number, content(number, byteCount: 1 << 20)) }
        let match = store.match(
            space,
            keys: try batch(0..<6),
            lease: .seconds(5),
            prefetches: false,
            owner: owner
        )
        #expect(match.tiers == [.memory, .memory, .memory])
        let lease = try #require(match.leaseID)
        for number in 100..<200 { _ = try store.put(space, number, content(number, byteCount: 1 << 20)) }
        #expect(try store.why(space, 4) == .evicted)
        #expect(try await store.get(space, 0..<3) == (0..<3).map { content($0, byteCount: 1 << 20) })
        #expect(!store.release(lease: lease, owner: LeaseOwner(connectionID: 2)))
        #expect(store.release(lease: lease, owner: owner))
        #expect(!store.release(lease: lease, owner: owner))
        for number in 200..<300 { _ = try store.put(space, number, content(number, byteCount: 1 << 20)) }
        #expect(try store.why(space, 0) == .evicted)
        #expect(store.statistics().integer("memory_leased_bytes") == 0)
    }

    @Test("leases end by themselves, or with their connection", arguments: [true, false])
    func leaseEnds(byConnection: Bool) async throws {
        let store = try fixture.open()
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        let owner = LeaseOwner(connectionID: 7)
        _ = try store.put(space, 1, [1])
        for _ in 0..<100 {
            _ = store.match(space, keys: try batch([1]), lease: .seconds(2), prefetches: false, owner: owner)
        }
        #expect(store.statistics().integer("leases") == 100)
        if byConnection {
            store.releaseAll(owner: owner)
        } else {
            clock.advance(milliseconds: 2_200)
            // The table forgets the leases a moment before their blocks are let go.
            try await eventually { store.statistics().integer("memory_leased_bytes") == 0 }
        }
        #expect(store.statistics().integer("leases") == 0)
        #expect(store.statistics().integer("leases_memory_bytes") == 0)
        #expect(store.statistics().integer("memory_leased_bytes") == 0)
    }

    @Test("leases hold at most half of the memory: a match is shortened to what can be kept")
    func leaseBudget() throws {
        let store = try fixture.open()
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        for number in 0..<30 { _ = try store.put(space, number, content(number, byteCount: 1 << 20)) }
        let match = store.match(
            space,
            keys: try batch(0..<30),
            lease: .seconds(60),
            prefetches: false,
            owner: LeaseOwner(connectionID: 1)
        )
        #expect((10...16).contains(match.tiers.count))
        let second = store.match(
            space,
            keys: try batch(20..<30),
            lease: .seconds(60),
            prefetches: false,
            owner: LeaseOwner(connectionID: 2)
        )
        #expect(second.tiers.isEmpty && second.leaseID == nil)
        #expect(
            store.match(
                space,
                keys: try batch(0..<30),
                lease: nil,
                prefetches: false,
                owner: LeaseOwner(connectionID: 2)
            ).tiers.count == 30
        )
    }

    @Test("a client that cannot take a miss gets one short lease a key; asking again does not renew it")
    func existsLease() async throws {
        let store = try fixture.open()
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        _ = try store.put(space, 1, content(1, byteCount: 1 << 20))
        #expect(try store.holds(space, 1, leasing: true))
        #expect(store.statistics().integer("leases") == 1)
        clock.advance(milliseconds: 4_000)
        #expect(try store.holds(space, 1, leasing: true))
        #expect(store.statistics().integer("leases") == 1)
        for number in 100..<200 { _ = try store.put(space, number, content(number, byteCount: 1 << 20)) }
        #expect(try store.isInMemory(space, 1))
        clock.advance(milliseconds: 1_200)
        try await eventually { store.statistics().integer("leases") == 0 }
        #expect(try store.holds(space, 1, leasing: true))
        #expect(store.statistics().integer("leases") == 0)
        for number in 200..<300 { _ = try store.put(space, number, content(number, byteCount: 1 << 20)) }
        #expect(try store.why(space, 1) == .evicted)
    }

    @Test("pins keep blocks through any pressure, but hold at most half of the memory")
    func pins() async throws {
        let store = try fixture.open()
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        for number in 0..<30 { _ = try store.put(space, number, content(number, byteCount: 1 << 20)) }
        let pinned = store.pin(space, keys: try batch(0..<31), until: .max)
        #expect(!pinned[30])
        let count = pinned.count { $0 }
        #expect((10...16).contains(count))
        for number in 100..<200 { _ = try store.put(space, number, content(number, byteCount: 1 << 20)) }
        for number in 0..<count { #expect(try store.isInMemory(space, number)) }
        _ = store.unpin(space, keys: try batch(0..<count))
        for number in 200..<300 { _ = try store.put(space, number, content(number, byteCount: 1 << 20)) }
        #expect(try store.why(space, 0) == .evicted)
        #expect(store.statistics().integer("memory_pinned_bytes") == 0)
    }

    @Test("deleting and clearing count what was there, and misses know why")
    func deletion() async throws {
        let store = try fixture.open()
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        for number in 0..<10 { _ = try store.put(space, number, [UInt8(number)]) }
        #expect(store.delete(space, keys: try batch([0, 1, 99])) == 2)
        #expect(try store.why(space, 0) == .deleted)
        #expect(store.clear(space) == 8)
        #expect(store.blockCount(space) == 0)
        #expect(store.statistics().integer("memory_blocks") == 0)
        #expect(
            store.statistics().integer("memory_free_bytes")
                == store.statistics().integer("memory_arena_bytes")
        )
    }

    @Test("a durable put without a disk tier is answered with a reason")
    func durableWithoutDisk() async throws {
        let store = try fixture.open()
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        let result = try store.put(space, 1, [1]) { $0.isDurable = true }
        let ticket = try #require(result.durability)
        #expect(await store.durable(ticket)?.code == .tierUnavailable)
    }

    @Test("a prefix that many matches end in is hot")
    func hotPrefixes() throws {
        let store = try fixture.open()
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        for number in 0..<8 { _ = try store.put(space, number, [UInt8(number)]) { $0.tokenCount = 16 } }
        for _ in 0..<5 {
            _ = store.match(
                space,
                keys: try batch([0, 1, 2, 77]),
                lease: nil,
                prefetches: false,
                owner: LeaseOwner(connectionID: 1)
            )
        }
        _ = store.match(
            space,
            keys: try batch([4, 5]),
            lease: nil,
            prefetches: false,
            owner: LeaseOwner(connectionID: 1)
        )
        let hot = store.hottestPrefixes(space, limit: 1)
        #expect(hot.map(\.keys) == [try (0..<3).map { try name($0).bytes }])
        #expect(hot.map(\.hits) == [5])
        #expect(hot.map(\.tokenCount) == [48])
    }
}

/// Polls until the condition holds; fails after ten seconds.
func eventually(_ condition: () throws -> Bool) async throws {
    for _ in 0..<1_000 {
        if try condition() { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record("the condition never held")
}
