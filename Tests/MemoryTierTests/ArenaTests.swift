import Blocks
import Glibc
import MemoryTier
import TestSupport
import Testing

@Suite("Arena")
struct ArenaTests {
    @Test("prefaulting claims every page, step by step, and keeps what is stored")
    func prefault() throws {
        let bench = try Workbench(byteCount: 64 << 20)
        let payload = Workbench.bytes(1, count: 100_000)
        try bench.put(1, payload)
        var progress: [Int] = []
        bench.tier.prefault { byteCount in
            progress.append(byteCount)
            return byteCount < 32 << 20
        }
        #expect(progress == [32 << 20])
        #expect(bench.tier.statistics().prefaultedByteCount == 32 << 20)
        bench.tier.prefault { byteCount in
            progress.append(byteCount)
            return true
        }
        #expect(progress == [32 << 20, 64 << 20])
        #expect(residentByteCount(bench.tier.arena) == 64 << 20)
        #expect(bench.lease(1)?.bytes == payload)
    }

    @Test("a tier that does not prefault claims nothing ahead")
    func withoutPrefault() throws {
        var configuration = MemoryTierConfiguration(byteCount: 16 << 20, blockCountMax: 16)
        configuration.prefaults = false
        let tier = try MemoryTier(configuration, clock: VirtualClock())
        tier.prefault { _ in
            Issue.record("nothing to report")
            return true
        }
        #expect(tier.statistics().prefaultedByteCount == 0)
    }

    @Test("the length of the shared memory cannot be changed by whoever gets its descriptor")
    func sealed() throws {
        let arena = try Arena(byteCount: 16 << 20)
        #expect(ftruncate(arena.descriptor, 4096) == -1)
        #expect(ftruncate(arena.descriptor, 32 << 20) == -1)
    }

    @Test("memory and descriptor go with the arena")
    func goesAway() throws {
        var descriptor: Int32 = -1
        var inode: ino_t?
        do {
            let arena = try Arena(byteCount: 16 << 20)
            descriptor = arena.descriptor
            inode = inodeBehind(descriptor)
            #expect(inode != nil)
        }
        // Another test may have been given the number meanwhile: that is another file.
        #expect(inodeBehind(descriptor) != inode)
    }

    @Test(
        "configurations out of bounds are refused",
        arguments: [
            MemoryTierConfiguration(byteCount: 8 << 20, blockCountMax: 1),
            MemoryTierConfiguration(byteCount: 17 << 20, blockCountMax: 1),
            MemoryTierConfiguration(byteCount: .max, blockCountMax: 1),
            MemoryTierConfiguration(byteCount: 16 << 20, blockCountMax: 0),
            MemoryTierConfiguration(byteCount: 16 << 20, blockCountMax: 1, shardCount: 3),
            MemoryTierConfiguration(byteCount: 16 << 20, blockCountMax: 1, shardCount: 512),
        ]
    )
    func outOfBounds(configuration: MemoryTierConfiguration) {
        #expect { try MemoryTier(configuration, clock: VirtualClock()) } throws: { error in
            (error as? CacheError)?.code == .invalidArgument
        }
    }

    private func inodeBehind(_ descriptor: Int32) -> ino_t? {
        var information = stat()
        return unsafe fstat(descriptor, &information) == 0 ? information.st_ino : nil
    }

    private func residentByteCount(_ arena: Arena) -> Int {
        var pages = [UInt8](repeating: 0, count: arena.byteCount / 4096)
        guard unsafe mincore(arena.baseAddress, arena.byteCount, &pages) == 0 else { return -1 }
        return pages.count { $0 & 1 == 1 } * 4096
    }
}
