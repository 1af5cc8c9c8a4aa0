import Blocks
import Eviction
import MemoryTier
import PayloadCoding
import Synchronization
import TestSupport
import Testing

@Suite("Packed blocks")
struct PackingTests {
    private static func payload(_ number: Int, byteCount: Int = 300_000) -> [UInt8] {
        BellShaped.bytes(byteCount, seed: UInt64(number))
    }

    private func pack(_ bench: Workbench, _ number: Int, hitCount: UInt32 = 0) throws
        -> MemoryTier.PackOutcome
    {
        let handle = try #require(bench.tier.handle(Workbench.identity(number)))
        var room: [UInt8] = []
        return bench.tier.pack(handle, hitCount: hitCount, scratch: CodecScratch(), room: &room)
    }

    private func unpack(_ bench: Workbench, _ number: Int) throws -> BlockLease? {
        let key = Workbench.key(number)
        return try bench.tier.unpack(
            Workbench.identity(number),
            key: unsafe key.span.bytes,
            scratch: CodecScratch()
        )
    }

    @Test("take less room, are found, are not read in place, and come back with equal bytes")
    func roundTrip() throws {
        let bench = try Workbench()
        let sizes = [16_384, 300_001, 2 << 20, 5 << 20]
        for (number, byteCount) in sizes.enumerated() {
            try bench.put(number, Self.payload(number, byteCount: byteCount))
        }
        let before = bench.tier.statistics()
        for number in sizes.indices { #expect(try pack(bench, number) == .packed) }
        let packed = bench.tier.statistics()
        #expect(packed.packedBlockCount == sizes.count)
        #expect(packed.packedPayloadByteCount == sizes.reduce(0, +))
        #expect(packed.usedByteCount * 14 < before.usedByteCount * 10)
        #expect(packed.blockByteCount == packed.usedByteCount)
        for number in sizes.indices {
            #expect(bench.holds(number))
            #expect(bench.lease(number) == nil)
            #expect(bench.tier.isPacked(Workbench.identity(number)))
            #expect(try pack(bench, number) == .gone)
        }
        for (number, byteCount) in sizes.enumerated() {
            let lease = try #require(try unpack(bench, number))
            #expect(lease.bytes == Self.payload(number, byteCount: byteCount))
            #expect(bench.lease(number)?.bytes == lease.bytes)
        }
        let after = bench.tier.statistics()
        #expect(
            after.packedBlockCount == 0 && after.packedByteCount == 0 && after.packedPayloadByteCount == 0
        )
        #expect(after.usedByteCount == before.usedByteCount)
        #expect(bench.takeRemovals().isEmpty)
    }

    @Test("are not made of what somebody reads, of what no other tier has, or of what does not shrink")
    func refusals() throws {
        let bench = try Workbench()
        var random = SeededRandom(seed: 1)
        try bench.put(1, random.bytes(300_000))
        #expect(try pack(bench, 1) == .incompressible)
        try bench.put(2, Self.payload(2), isDirty: true)
        #expect(try pack(bench, 2) == .busy)
        try bench.put(3, Self.payload(3))
        do {
            let lease = bench.lease(3)
            #expect(try pack(bench, 3) == .busy)
            withExtendedLifetime(lease) {}
        }
        #expect(try pack(bench, 3) == .used(hitCount: 1))
        #expect(try pack(bench, 3, hitCount: 1) == .packed)
        try bench.put(4, Self.payload(4, byteCount: 1_000))
        #expect(try pack(bench, 4) == .gone)
        #expect(bench.tier.statistics().reservedByteCount == 0)
    }

    @Test("keep tokens, times and pins, and are replaced, removed and evicted like any other")
    func changes() throws {
        let bench = try Workbench()
        for number in 0..<4 {
            try bench.put(number, Self.payload(number))
            #expect(try pack(bench, number) == .packed)
        }
        _ = bench.tier.update(Workbench.identity(0)) { $0.pinnedUntil = .max }
        #expect(bench.tier.statistics().pinnedByteCount < 300_000)
        let lease = try #require(try unpack(bench, 0))
        #expect(lease.attributes.pinnedUntil == .max)
        #expect(bench.tier.statistics().pinnedByteCount > 300_000)
        _ = bench.tier.update(Workbench.identity(0)) { $0.pinnedUntil = 0 }

        try bench.put(1, Self.payload(11), replaces: true)
        #expect(bench.lease(1)?.bytes == Self.payload(11))
        #expect(try bench.put(2, Self.payload(2)).isExisting)
        #expect(bench.tier.remove(Workbench.identity(2), reason: .deleted) != nil)
        #expect(try unpack(bench, 2) == nil)
        _ = bench.tier.evict(untilFreeByteCount: .max)
        #expect(!bench.holds(3))
        withExtendedLifetime(lease) {}
        let end = bench.tier.statistics()
        #expect(end.packedBlockCount == 0 && end.packedByteCount == 0)
    }

    @Test("whose coded bytes are damaged are a miss, and go")
    func damaged() throws {
        for position in [0, 3, 4, 5, 40, 100_000] {
            let bench = try Workbench()
            try bench.put(1, Self.payload(1))
            #expect(try pack(bench, 1) == .packed)
            let extent = unsafe UnsafeMutableRawBufferPointer(
                start: bench.tier.arena.baseAddress,
                count: bench.tier.arena.byteCount
            )
            // The coded bytes lie behind header and key, wherever the extent is: before them is the key.
            let key = Workbench.key(1)
            let header = try #require(
                unsafe Self.find(BlockHeaderMark.packed, in: UnsafeRawBufferPointer(extent))
            )
            let start = (header + BlockHeader.byteCount + key.count + 63) & ~63
            unsafe extent[start + position] ^= 0x41
            #expect(try unpack(bench, 1) == nil)
            #expect(!bench.holds(1))
            #expect(bench.takeRemovals().map(\.reason) == [.corrupt])
            #expect(bench.tier.statistics().usedByteCount == 0)
        }
    }

    /// The beginning of a header whose codec is not 0.
    private enum BlockHeaderMark { static let packed: [UInt8] = [0x4c, 0x52, 0x44, 0x42, 1, 3] }

    private static func find(_ mark: [UInt8], in bytes: UnsafeRawBufferPointer) -> Int? {
        stride(from: 0, to: bytes.count - mark.count, by: Extent.granuleByteCount).first { offset in
            mark.indices.allSatisfy { unsafe bytes[offset + $0] == mark[$0] }
        }
    }

    @Test("come back packed when the process ends, and are proved when they are unpacked")
    func outlive() throws {
        let file = try FileBench()
        var bench = try file.open()
        for number in 0..<6 { try bench.put(number, Self.payload(number)) }
        for number in 0..<4 { #expect(try pack(bench, number) == .packed) }
        #expect(try unpack(bench, 3)?.bytes == Self.payload(3))
        let before = bench.tier.statistics()
        try file.reopen(&bench)
        let after = bench.tier.statistics()
        #expect(after.usedByteCount == before.usedByteCount && after.blockCount == 6)
        #expect(after.packedByteCount == before.packedByteCount && after.packedBlockCount == 3)
        for number in 0..<3 { #expect(try unpack(bench, number)?.bytes == Self.payload(number)) }
        for number in 3..<6 { #expect(bench.lease(number)?.bytes == Self.payload(number)) }
        #expect(bench.tier.statistics().packedBlockCount == 0)
        #expect(bench.tier.statistics().unverifiedBlockCount == 0)
        try file.reopen(&bench)
        for number in 0..<6 { #expect(bench.lease(number)?.bytes == Self.payload(number)) }
    }

    private final class Counts: Sendable {
        let reads = Atomic(0)
        let wrong = Atomic(0)
    }

    @Test(
        "readers, writers, a packer and an evicting memory at once never see a wrong byte",
        .timeLimit(.minutes(5))
    )
    func concurrency() async throws {
        let bench = try Workbench(byteCount: 24 << 20, policy: .forecast)
        let counts = Counts()
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<4 {
                group.addTask {
                    var random = SeededRandom(seed: UInt64(task + 1))
                    let scratch = CodecScratch()
                    var room: [UInt8] = []
                    for _ in 0..<300 {
                        let number = Int(random.next() % 80)
                        let key = Workbench.key(number)
                        let identity = Workbench.identity(number)
                        switch random.next() % 4 {
                        case 0: _ = try? bench.put(number, Self.payload(number))
                        case 1:
                            guard let handle = bench.tier.handle(identity) else { continue }
                            if case .used(let hits) = bench.tier.pack(
                                handle,
                                hitCount: 0,
                                scratch: scratch,
                                room: &room
                            ) {
                                _ = bench.tier.pack(handle, hitCount: hits, scratch: scratch, room: &room)
                            }
                        default:
                            let lease =
                                bench.lease(number)
                                ?? (try? bench.tier.unpack(
                                    identity,
                                    key: unsafe key.span.bytes,
                                    scratch: scratch
                                ))
                            guard let lease else { continue }
                            counts.reads.add(1, ordering: .relaxed)
                            if lease.bytes != Self.payload(number) { counts.wrong.add(1, ordering: .relaxed) }
                        }
                    }
                }
            }
        }
        #expect(counts.wrong.load(ordering: .relaxed) == 0)
        #expect(counts.reads.load(ordering: .relaxed) > 100)
        _ = bench.tier.removeAll(prefix: Workbench.prefix, reason: .cleared)
        let end = bench.tier.statistics()
        #expect(end.usedByteCount == 0 && end.packedByteCount == 0 && end.leasedByteCount == 0)
    }
}

extension CommitOutcome {
    fileprivate var isExisting: Bool { if case .exists = self { true } else { false } }
}
