import Blocks
import Foundation
import MemoryTier
import TestSupport
import Testing
import Tiering

@Suite("A store that packs its memory")
struct PackingStoreTests {
    private static let byteCount = 128 << 10

    private static func payload(_ number: Int) -> [UInt8] {
        BellShaped.bytes(byteCount, seed: UInt64(number))
    }

    private func open(packs: Bool, diskMebibytes: Int = 0) throws -> (StoreFixture, BlockStore) {
        var configuration = StoreConfiguration()
        configuration.packsMemory = packs
        let fixture = try StoreFixture(
            memoryMebibytes: 32,
            diskMebibytes: diskMebibytes,
            configuration: configuration
        )
        return (fixture, try fixture.open())
    }

    /// Puts blocks, and waits until the packer has made room for the next ones.
    private func fill(_ store: BlockStore, _ space: KeySpace, _ numbers: Range<Int>, packs: Bool) async throws
    {
        for number in numbers {
            #expect(try await store.putPatiently(space, number, Self.payload(number)) == .stored)
            guard packs else { continue }
            try await eventually {
                store.statistics().integer("memory_free_bytes") > 1 << 20
            }
        }
    }

    @Test("holds 1.3 times as many blocks of KV, found and read with equal bytes")
    func capacity() async throws {
        // 255 blocks of 128 KiB and their headers fill 32 MiB.
        let blockCount = 330
        for packs in [false, true] {
            let (fixture, store) = try open(packs: packs)
            defer { store.close() }
            let space = store.space(tenant: .default, database: 0)
            try await fill(store, space, 0..<blockCount, packs: packs)
            var held = 0
            for number in 0..<blockCount where try store.holds(space, number) { held += 1 }
            if packs {
                #expect(held == blockCount)
                #expect(store.statistics().integer("memory_packed_blocks") > blockCount / 2)
                for number in stride(from: 0, to: blockCount, by: 20) {
                    #expect(try await store.get(space, [number]) == [Self.payload(number)])
                }
                #expect(store.statistics().integer("memory_unpacks") > 0)
            } else {
                #expect(held < 256)
            }
            withExtendedLifetime(fixture) {}
        }
    }

    @Test("many who ask for one packed block wait for one decoding")
    func singleFlight() async throws {
        let (fixture, store) = try open(packs: true)
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        try await fill(store, space, 0..<280, packs: true)
        try await eventually { store.statistics().integer("memory_packed_blocks") > 10 }
        #expect(try !store.isInMemory(space, 0))
        let before = store.statistics().integer("memory_unpacks")
        try await withThrowingTaskGroup(of: [[UInt8]?].self) { group in
            for _ in 0..<16 { group.addTask { try await store.get(space, [0]) } }
            for try await bytes in group { #expect(bytes == [Self.payload(0)]) }
        }
        #expect(store.statistics().integer("memory_unpacks") - before <= 2)
        withExtendedLifetime(fixture) {}
    }

    @Test("with a disk packs what is written, and serves memory, packed memory and disk with equal bytes")
    func withDisk() async throws {
        let (fixture, store) = try open(packs: true, diskMebibytes: 256)
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        for number in 0..<480 {
            #expect(try await store.putPatiently(space, number, Self.payload(number)) == .stored)
        }
        try await eventually { store.statistics().integer("memory_packs") > 0 }
        for number in (0..<480).reversed() {
            #expect(try await store.get(space, [number]) == [Self.payload(number)])
        }
        #expect(try store.put(space, 5, Self.payload(5)).outcome == .exists)
        #expect(store.statistics().integer("memory_corrupt") == 0)
        withExtendedLifetime(fixture) {}
    }
}
