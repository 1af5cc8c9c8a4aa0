import Blocks
import Foundation
import TestSupport
import Testing
import Tiering

@Suite("A store over memory and disk")
struct TwoTierTests {
    @Test("more than the memory holds is served from disk, with equal bytes, and comes back up")
    func demotionAndPromotion() async throws {
        let fixture = try StoreFixture(memoryMebibytes: 16, diskMebibytes: 256)
        let store = try fixture.open()
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        for number in 0..<64 {
            #expect(
                try await store.putPatiently(space, number, content(number, byteCount: 1 << 20)) == .stored
            )
        }
        #expect(store.drain(within: .seconds(30)) { _, _ in } == 0)
        #expect(try store.why(space, 0) == .disk)
        for start in stride(from: 0, to: 64, by: 8) {
            let got = try await store.get(space, start..<(start + 8))
            for offset in 0..<8 { #expect(got[offset] == content(start + offset, byteCount: 1 << 20)) }
        }
        #expect(try store.isInMemory(space, 63))
        #expect(store.statistics().integer("hits_disk") > 40)
        #expect(store.blockCount(space) == 64)
        #expect(store.statistics().integer("memory_evicted_lost") == 0)
    }

    @Test("a block that comes up from disk is there for who asked, however many want the same memory")
    func contendedPromotion() async throws {
        let fixture = try StoreFixture(memoryMebibytes: 16, diskMebibytes: 256)
        let store = try fixture.open()
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        for number in 0..<96 {
            _ = try await store.putPatiently(space, number, content(number, byteCount: 1 << 20))
        }
        #expect(store.drain(within: .seconds(30)) { _, _ in } == 0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    var random = SeededRandom(seed: UInt64(worker))
                    for _ in 0..<60 {
                        let number = Int.random(in: 0..<96, using: &random)
                        let got = try await store.get(space, number..<(number + 1))
                        #expect(got == [content(number, byteCount: 1 << 20)])
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(store.statistics().integer("misses_never_seen") == 0)
    }

    @Test("a clean stop loses nothing, and a described namespace is known again")
    func restart() async throws {
        let fixture = try StoreFixture(memoryMebibytes: 16, diskMebibytes: 128)
        let description = try NamespaceDescription(json: Array(#"{"dtype":"bfloat16","model":"m"}"#.utf8))
        let first = try fixture.open()
        let space = try first.space(tenant: .default, description: description)
        for number in 0..<20 {
            _ = try await first.putPatiently(space, number, content(number, byteCount: 100_000))
        }
        _ = first.delete(space, keys: try batch([3]))
        #expect(first.drain(within: .seconds(30)) { _, _ in } == 0)
        first.close()
        let second = try fixture.open()
        defer { second.close() }
        let again = try #require(second.space(tenant: .default, namespace: description.id))
        #expect(again.elementType == .bfloat16)
        let got = try await second.get(again, 0..<21)
        for number in 0..<20 {
            #expect(got[number] == (number == 3 ? nil : content(number, byteCount: 100_000)))
        }
        #expect(got[20] == nil)
        #expect(second.statistics().integer("promotions") == 19)
        #expect(try second.put(again, 5, content(5, byteCount: 100_000)).outcome == .exists)
        #expect(try second.put(again, 5, content(6, byteCount: 100_000)).outcome == .conflict)
    }

    @Test("however many ask for a cold block, the disk is read once")
    func singleFlight() async throws {
        let fixture = try StoreFixture(memoryMebibytes: 16, diskMebibytes: 128)
        let first = try fixture.open()
        let space = first.space(tenant: .default, database: 0)
        _ = try first.put(space, 1, content(1, byteCount: 4 << 20))
        _ = first.drain(within: .seconds(30)) { _, _ in }
        first.close()
        let store = try fixture.open()
        defer { store.close() }
        let cold = store.space(tenant: .default, database: 0)
        let results = try await withThrowingTaskGroup(of: [UInt8]?.self) { group in
            for _ in 0..<64 { group.addTask { try await store.get(cold, [1])[0] } }
            var results: [[UInt8]?] = []
            for try await result in group { results.append(result) }
            return results
        }
        #expect(results.allSatisfy { $0 == content(1, byteCount: 4 << 20) })
        #expect(store.statistics().integer("promotions") == 1)
    }

    @Test("a durable put is answered when it is on disk, and survives losing the memory")
    func durable() async throws {
        let fixture = try StoreFixture(memoryMebibytes: 16, diskMebibytes: 128)
        let store = try fixture.open()
        let space = store.space(tenant: .default, database: 0)
        let result = try store.put(space, 1, content(1, byteCount: 1 << 20)) { $0.isDurable = true }
        #expect(await store.durable(try #require(result.durability)) == nil)
        #expect(store.statistics().integer("write_queue_blocks") == 0)
        store.close()
        let again = try fixture.open()
        defer { again.close() }
        #expect(
            try await again.get(again.space(tenant: .default, database: 0), [1]) == [
                content(1, byteCount: 1 << 20)
            ]
        )
    }

    @Test("a block on disk is leased by a match and still readable after its segment was dropped")
    func diskLease() async throws {
        let fixture = try StoreFixture(memoryMebibytes: 16, diskMebibytes: 64)
        let store = try fixture.open()
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        for number in 0..<30 {
            _ = try await store.putPatiently(space, number, content(number, byteCount: 1 << 20))
        }
        try await eventually { store.statistics().integer("write_queue_blocks") < 8 }
        let match = store.match(
            space,
            keys: try batch(0..<4),
            lease: .seconds(300),
            prefetches: false,
            owner: LeaseOwner(connectionID: 1)
        )
        #expect(match.tiers.count == 4)
        for number in 100..<220 {
            _ = try await store.putPatiently(space, number, content(number, byteCount: 1 << 20))
        }
        #expect(try store.why(space, 20) == .evicted)
        #expect(try await store.get(space, 0..<4) == (0..<4).map { content($0, byteCount: 1 << 20) })
    }

    @Test("deleted and replaced blocks stay so, whatever the writer is doing, also after a restart")
    func deletionRaces() async throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        var random = SeededRandom(seed: seed)
        var configuration = StoreConfiguration()
        configuration.writeDelay = .milliseconds(1)
        let fixture = try StoreFixture(memoryMebibytes: 16, diskMebibytes: 128, configuration: configuration)
        var expected: [Int: [UInt8]] = [:]
        let store = try fixture.open()
        let space = store.space(tenant: .default, database: 0)
        for step in 0..<2_000 {
            let number = Int.random(in: 0..<50, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5:
                let bytes = content(step, byteCount: Int.random(in: 1...40_000, using: &random))
                if try store.put(space, number, bytes, { $0.replaces = true }).outcome == .stored {
                    expected[number] = bytes
                }
            case 5..<7:
                let wasHeld = store.delete(space, keys: try batch([number])) == 1
                #expect(wasHeld == (expected[number] != nil))
                expected[number] = nil
            case 7:
                _ = store.prefetch(space, keys: try batch([number]))
            default:
                #expect(try await store.get(space, [number]) == [expected[number]])
            }
        }
        #expect(store.blockCount(space) == expected.count)
        #expect(store.drain(within: .seconds(30)) { _, _ in } == 0)
        store.close()
        let again = try fixture.open()
        defer { again.close() }
        let found = try await again.get(again.space(tenant: .default, database: 0), 0..<50)
        for number in 0..<50 { #expect(found[number] == expected[number]) }
    }

    @Test("a clear empties both tiers and stays after a restart")
    func clear() async throws {
        let fixture = try StoreFixture(memoryMebibytes: 16, diskMebibytes: 128)
        let store = try fixture.open()
        let space = store.space(tenant: .default, database: 0)
        let kept = store.space(tenant: .default, database: 1)
        for number in 0..<30 {
            _ = try await store.putPatiently(space, number, content(number, byteCount: 500_000))
        }
        _ = try await store.putPatiently(kept, 1, [1])
        #expect(store.clear(space) >= 29)
        #expect(store.blockCount(space) == 0)
        #expect(store.drain(within: .seconds(30)) { _, _ in } == 0)
        store.close()
        let again = try fixture.open()
        defer { again.close() }
        #expect(again.blockCount(again.space(tenant: .default, database: 0)) == 0)
        #expect(try await again.get(again.space(tenant: .default, database: 1), [1]) == [[1]])
    }

    @Test("every key of a space is found by scanning, whatever tier holds it")
    func scan() async throws {
        let fixture = try StoreFixture(memoryMebibytes: 16, diskMebibytes: 128)
        let store = try fixture.open()
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        for number in 0..<40 {
            _ = try await store.putPatiently(space, number, content(number, byteCount: 1 << 20))
        }
        var found: [[UInt8]] = []
        var cursor: UInt64 = 0
        repeat {
            let start = cursor
            let (keys, next) = await withCheckedContinuation { continuation in
                store.scan(space, cursor: start, count: 7) { continuation.resume(returning: ($0, $1)) }
            }
            found += keys
            cursor = next
        } while cursor != 0
        #expect(Set(found) == Set(try (0..<40).map { try name($0).bytes }))
    }

    @Test(
        "while the disk refuses, memory goes on alone and nothing fails; when it recovers, so does the store"
    )
    func sickDisk() async throws {
        var configuration = StoreConfiguration()
        configuration.writeDelay = .milliseconds(1)
        let fixture = try StoreFixture(memoryMebibytes: 16, diskMebibytes: 64, configuration: configuration)
        let mount = fixture.directory.path
        try #require(
            run("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", mount),
            "this test mounts a small tmpfs and needs the right to do so"
        )
        defer { _ = run("umount", "-l", mount) }
        let store = try fixture.open()
        defer { store.close() }
        let space = store.space(tenant: .default, database: 0)
        try Data(count: 20 << 20).write(to: URL(filePath: mount + "/filler"))
        for number in 0..<60 {
            #expect(
                try await store.putPatiently(space, number, content(number, byteCount: 1 << 20)) == .stored
            )
        }
        #expect(store.statistics()["disk"] == .text("failing"))
        #expect(try await store.get(space, [59]) == [content(59, byteCount: 1 << 20)])
        let before = try await store.get(space, 0..<60)
        for number in 0..<60 {
            #expect(before[number] == nil || before[number] == content(number, byteCount: 1 << 20))
        }
        try FileManager.default.removeItem(atPath: mount + "/filler")
        try await eventually { store.statistics()["disk"] == .text("on") }
        _ = store.clear(space)
        // The queue may still be full of blocks that the clear took back.
        var durability: DurabilityTicket?
        try await eventually {
            durability = try store.put(space, 1, content(1, byteCount: 1 << 20)) { $0.isDurable = true }
                .durability
            return durability != nil
        }
        #expect(await store.durable(try #require(durability)) == nil)
    }

    @Test("a durable put is acknowledged only for what is on disk, however the database's manifest fails")
    func durableWhileManifestFails() async throws {
        let fixture = try StoreFixture(memoryMebibytes: 16, diskMebibytes: 64)
        var store = try fixture.open()
        var space = store.space(tenant: .default, database: 0)
        var acknowledged: [Int] = []
        var refusedCount = 0
        for (number, kind) in [DiskFaults.Kind.full, .lost].enumerated() {
            let faults = DiskFaults(kind, below: fixture.directory.path, fileName: "MANIFEST")
            for (offset, isFailing) in [true, false].enumerated() {
                let block = 2 * number + offset
                if isFailing { faults.start(call: 1) }
                defer { faults.stop() }
                let bytes = content(block, byteCount: 1_000)
                let put = try store.put(space, block, bytes) { $0.isDurable = true }
                if await store.durable(try #require(put.durability)) == nil {
                    acknowledged.append(block)
                } else {
                    #expect(isFailing)
                    refusedCount += 1
                }
            }
        }
        #expect(refusedCount > 0)
        #expect(store.statistics().integer("disk_reopenings") == refusedCount)
        store.close()
        store = try fixture.open()
        defer { store.close() }
        space = store.space(tenant: .default, database: 0)
        for block in acknowledged {
            #expect(try await store.get(space, [block]) == [content(block, byteCount: 1_000)])
        }
    }

    private func run(_ command: String...) -> Bool {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = command
        do { try process.run() } catch { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}
