import Blocks
import Eviction
import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

@testable import MemoryTier

@Suite("Memory that outlives its process")
struct MemoryFileTests {
    @Test("blocks come back as they were: bytes, key, attributes, whether they are on disk")
    func comesBack() throws {
        let file = try FileBench()
        var bench = try file.open()
        #expect(bench.tier.fileReport?.isTakenBack == false)
        let payloads = (0..<20).map { Workbench.bytes($0, count: 1 + $0 * 10_007) }
        for (number, payload) in payloads.enumerated() {
            try bench.put(number, payload, pinnedUntil: UInt64(number), isDirty: number % 2 == 0)
        }
        let before = (0..<20).map { bench.tier.summary(Workbench.identity($0)) }
        let used = bench.tier.statistics().usedByteCount

        try file.reopen(&bench)
        let report = try #require(bench.tier.fileReport)
        #expect(report.isTakenBack && report.blockCount == 20 && report.damagedBlockCount == 0)
        #expect(report.byteCount == used)
        let statistics = bench.tier.statistics()
        #expect(statistics.usedByteCount == used)
        #expect(statistics.dirtyBlockCount == 10)
        #expect(statistics.unverifiedBlockCount == 20)
        let taken = bench.tier.takeTakenOver()
        #expect(taken.map { Int($0.summary.attributes.tokenCount) } == Array(0..<20))
        #expect(taken.map(\.wasClean) == (0..<20).map { $0 % 2 == 1 })
        for (number, payload) in payloads.enumerated() {
            #expect(bench.tier.summary(Workbench.identity(number)) == before[number])
            let lease = try #require(bench.lease(number))
            #expect(lease.bytes == payload)
            #expect(lease.keyBytes == Workbench.key(number))
        }
        #expect(bench.tier.statistics().unverifiedBlockCount == 0)
        #expect(bench.tier.statistics().verifiedBlockTotal == 20)
    }

    @Test("what was removed, replaced, expired, evicted or never committed does not come back")
    func staysAway() throws {
        let file = try FileBench()
        var bench = try file.open()
        for number in 0..<8 { try bench.put(number, Workbench.bytes(number, count: 70_000), isDirty: true) }
        #expect(bench.tier.remove(Workbench.identity(0), reason: .deleted) != nil)
        try bench.put(1, Workbench.bytes(101, count: 500), replaces: true)
        #expect(
            bench.tier.update(Workbench.identity(2)) { $0.expiresAt = file.clock.unixMilliseconds() + 5 }
                != nil
        )
        #expect(
            bench.tier.update(Workbench.identity(3)) { $0.expiresAt = file.clock.unixMilliseconds() + 500 }
                != nil
        )
        var held = bench.lease(4)
        #expect(bench.tier.remove(Workbench.identity(4), reason: .deleted) != nil)
        var reservation: Reservation? = try bench.reserve(9, byteCount: 1_000)
        withExtendedLifetime((held, reservation)) {}
        (held, reservation) = (nil, nil)
        file.clock.advance(milliseconds: 10)
        // The kill: nothing is swept before it.
        try file.reopen(&bench)
        #expect(!bench.holds(0) && !bench.holds(2) && !bench.holds(4) && !bench.holds(9))
        #expect(bench.lease(1)?.bytes == Workbench.bytes(101, count: 500))
        #expect(bench.tier.fileReport?.expiredBlockCount == 1)
        #expect(bench.tier.fileReport?.blockCount == 5)
        let end = bench.tier.summary(Workbench.identity(3))?.attributes.expiresAt
        #expect(end == file.clock.unixMilliseconds() + 490)
        file.clock.advance(milliseconds: 600)
        #expect(!bench.holds(3))
    }

    @Test("of two blocks that a kill in the middle of a replacement left, the later one counts")
    func replacedHalfWay() throws {
        let file = try FileBench()
        var bench = try file.open()
        try bench.put(1, Workbench.bytes(1, count: 5_000), isDirty: true)
        let directory = try #require(bench.tier.core.file?.directory)
        let records = (UInt32(0)..<8).compactMap { node in
            if case .record(let record) = directory.content(of: node) { record } else { nil }
        }
        let record = try #require(records.first)
        try bench.put(1, Workbench.bytes(2, count: 6_000), replaces: true)
        // As if the old place had not been cleared yet.
        directory.publish(record.extent, sequence: record.sequence, isClean: false)
        try file.reopen(&bench)
        #expect(bench.tier.fileReport?.blockCount == 1)
        #expect(bench.tier.takeTakenOver().count == 1)
        #expect(bench.lease(1)?.bytes == Workbench.bytes(2, count: 6_000))
        let used = bench.tier.statistics().usedByteCount
        #expect(used == bench.tier.statistics().blockByteCount)
    }

    /// What the tier must hold, by number.
    private struct Held {
        var payload: [UInt8]
        var expiresAt: UInt64 = 0
        var pinnedUntil: UInt64 = 0
    }

    @Test("whatever was done before, each reopening finds exactly what a model has", arguments: 1...8)
    func randomOperations(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let file = try FileBench()
        var bench = try file.open(blockCountMax: 90)
        var model: [Int: Held] = [:]
        for _ in 0..<25 {
            for _ in 0..<60 {
                let number = Int.random(in: 0..<60, using: &random)
                switch Int.random(in: 0..<10, using: &random) {
                case 0...5:
                    let byteCount = Int.random(in: 1...600_000, using: &random)
                    let payload = Workbench.bytes(Int(truncatingIfNeeded: random.next()), count: byteCount)
                    let outcome = try bench.put(number, payload, replaces: true)
                    #expect(outcome.isStored)
                    model[number] = Held(payload: payload)
                case 6:
                    let wasThere = bench.tier.remove(Workbench.identity(number), reason: .deleted) != nil
                    #expect(wasThere == (model.removeValue(forKey: number) != nil))
                case 7:
                    let end = file.clock.unixMilliseconds() + UInt64.random(in: 1...60, using: &random)
                    let pin = UInt64.random(in: 0...9, using: &random)
                    _ = bench.tier.update(Workbench.identity(number)) {
                        $0.expiresAt = end
                        $0.pinnedUntil = pin
                    }
                    model[number]?.expiresAt = end
                    model[number]?.pinnedUntil = pin
                case 8:
                    #expect(bench.lease(number)?.bytes == model[number]?.payload)
                default:
                    file.clock.advance(milliseconds: 2)
                    _ = bench.tier.sweepExpired(blockCountMax: 20)
                }
                let now = file.clock.unixMilliseconds()
                for removal in bench.takeRemovals()
                where removal.reason == .evicted || removal.reason == .expired {
                    // Of a number that was put again meanwhile, an older block was evicted.
                    if !bench.holds(Int(removal.summary.attributes.tokenCount)) {
                        model[Int(removal.summary.attributes.tokenCount)] = nil
                    }
                }
                model = model.filter { $0.value.expiresAt == 0 || $0.value.expiresAt > now }
            }
            try file.reopen(&bench, blockCountMax: 90)
            #expect(bench.tier.fileReport?.isTakenBack == true)
            #expect(bench.tier.fileReport?.damagedBlockCount == 0)
            #expect(bench.tier.statistics().blockCount == model.count)
            let statistics = bench.tier.statistics()
            #expect(statistics.usedByteCount == statistics.blockByteCount)
            for number in 0..<60 {
                let summary = bench.tier.summary(Workbench.identity(number))
                #expect(summary?.attributes.expiresAt == model[number]?.expiresAt)
                #expect(summary?.attributes.pinnedUntil == model[number]?.pinnedUntil)
                if Bool.random(using: &random) {
                    #expect(bench.lease(number)?.bytes == model[number]?.payload)
                }
            }
        }
    }

    @Test("a damaged payload is a miss, counted and gone; the others are proved meanwhile")
    func damagedPayload() throws {
        let file = try FileBench()
        var bench = try file.open()
        for number in 0..<10 { try bench.put(number, Workbench.bytes(number, count: 300_000)) }
        let offsets = (0..<10).map { bench.lease($0)?.payloadOffset ?? 0 }
        try file.damage(at: offsets[2] + 299_999)
        try file.damage(at: offsets[5])
        try file.reopen(&bench)
        #expect(bench.holds(2))
        #expect(bench.lease(2) == nil)
        #expect(!bench.holds(2))
        #expect(bench.takeRemovals().map(\.reason) == [.corrupt])
        while bench.tier.proveTakenOver(byteCountMax: 1) {}
        #expect(!bench.holds(5))
        let statistics = bench.tier.statistics()
        #expect(statistics.damagedBlockTotal == 2 && statistics.verifiedBlockTotal == 8)
        #expect(statistics.unverifiedBlockCount == 0)
        // Damaged bytes turn nobody away, and the block is what was put last.
        try file.damage(at: offsets[7])
        try file.reopen(&bench)
        #expect(try bench.put(7, Workbench.bytes(7, count: 300_000)).isStored)
        #expect(bench.lease(7)?.bytes == Workbench.bytes(7, count: 300_000))
    }

    @Test(
        "readers on many threads of one unproved block get its bytes, or nobody does",
        arguments: [false, true]
    )
    func manyReaders(isDamaged: Bool) async throws {
        let file = try FileBench()
        var bench = try file.open()
        let payload = Workbench.bytes(1, count: 4 << 20)
        try bench.put(1, payload)
        if isDamaged { try file.damage(at: (bench.lease(1)?.payloadOffset ?? 0) + 1_000_000) }
        try file.reopen(&bench)
        let readers = bench
        let results = await withTaskGroup(of: [UInt8]?.self) { group in
            for _ in 0..<8 { group.addTask { readers.lease(1)?.bytes } }
            return await group.reduce(into: [[UInt8]?]()) { $0.append($1) }
        }
        #expect(results.allSatisfy { $0 == (isDamaged ? nil : payload) })
        #expect(bench.tier.statistics().damagedBlockTotal == (isDamaged ? 1 : 0))
        #expect(bench.tier.statistics().verifiedBlockTotal == (isDamaged ? 0 : 1))
        #expect(bench.tier.statistics().leasedBlockCount == 0)
    }

    @Test(
        "whatever bits change in the file, a block is right or a miss, and the tier opens",
        arguments: 1...6
    )
    func damageAnywhere(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for _ in 0..<40 {
            let file = try FileBench()
            var bench = try file.open(blockCountMax: 64)
            var payloads: [Int: [UInt8]] = [:]
            for number in 0..<40 {
                payloads[number] = Workbench.bytes(number, count: Int.random(in: 1...200_000, using: &random))
                try bench.put(number, payloads[number] ?? [], replaces: true)
            }
            for number in 0..<5 { _ = bench.tier.remove(Workbench.identity(number), reason: .deleted) }
            let layout = MemoryFileLayout(arenaByteCount: 16 << 20, blockCountMax: 64)
            let extents = (5..<40).compactMap { bench.lease($0)?.payloadOffset }
            for _ in 0..<Int.random(in: 1...30, using: &random) {
                let offset =
                    switch Int.random(in: 0..<6, using: &random) {
                    // Headers of blocks, their payloads, the directory, what comes behind it.
                    case 0, 1:
                        (extents.randomElement(using: &random) ?? 0) - Int.random(in: 1...192, using: &random)
                    case 2:
                        (extents.randomElement(using: &random) ?? 0)
                            + Int.random(in: 0..<200_000, using: &random)
                    case 3, 4: layout.directoryOffset + Int.random(in: 0..<2_080, using: &random)
                    default: layout.stateOffset + Int.random(in: 0..<160, using: &random)
                    }
                guard offset >= 0, offset < layout.byteCount else { continue }
                let bit = UInt8(1 << Int.random(in: 0..<8, using: &random))
                try file.damage(at: offset) { $0 ^ bit }
            }
            try file.reopen(&bench, blockCountMax: 64)
            for number in 0..<40 {
                guard let lease = bench.lease(number) else { continue }
                #expect(number >= 5 && lease.bytes == payloads[number])
            }
            let statistics = bench.tier.statistics()
            #expect(statistics.usedByteCount == statistics.blockByteCount)
            // And it goes on as any other.
            for number in 100..<140 { try bench.put(number, Workbench.bytes(number, count: 300_000)) }
            #expect(bench.lease(139)?.bytes == Workbench.bytes(139, count: 300_000))
        }
    }

    @Test("a file that cannot be gone on with is left, with the reason, and the tier is empty")
    func discarded() throws {
        let file = try FileBench()
        func fill() throws { try file.open().put(1, [1, 2, 3]) }
        func reason(_ bench: Workbench) -> String {
            #expect(!bench.holds(1) && bench.tier.fileReport?.isTakenBack == false)
            #expect(bench.tier.statistics().usedByteCount == 0)
            return bench.tier.fileReport?.discarded ?? ""
        }
        try fill()
        #expect(try reason(file.open(byteCount: 32 << 20)).contains("--memory of 16777216 bytes"))
        _ = try file.open()
        try fill()
        #expect(try reason(file.open(blockCountMax: 100)).contains("other limits"))
        _ = try file.open()
        try fill()
        #expect(try reason(file.open(secret: 2)).contains("another secret"))
        _ = try file.open()
        try fill()
        // A run without the file, which may have deleted what is in it.
        file.latestRun.withLock { $0 = .random() }
        #expect(try reason(file.open()).contains("ran without it"))
        try fill()
        file.latestRun.withLock { $0 = nil }
        #expect(try reason(file.open()).contains("ran without it"))
        try fill()
        #expect(unsafe truncate(file.path, off_t(file.fileByteCount - 4_096)) == 0)
        #expect(try reason(file.open()).contains("was cut"))
        try fill()
        #expect(unsafe truncate(file.path, 100) == 0)
        #expect(try reason(file.open()).contains("was cut"))
        try fill()
        for header in [4_096, 8_192] { try file.damage(at: file.fileByteCount - header + 30) }
        #expect(try reason(file.open()).contains("damaged"))
    }

    @Test("a kill while the file is taken over costs nothing, at whatever step")
    func killedWhileStarting() throws {
        let file = try FileBench()
        try file.open().put(1, [1, 2, 3])
        let snapshot = file.directory.path + "/snapshot"
        file.beforeRecording.withLock { hook in
            hook = { try? FileManager.default.copyItem(atPath: file.path, toPath: snapshot) }
        }
        let old = file.latestRun.withLock { $0 }
        _ = try file.open()
        let new = file.latestRun.withLock { $0 }
        #expect(old != new)
        file.beforeRecording.withLock { $0 = nil }
        for mark in [old, new] {
            unsafe _ = unlink(file.path)
            try FileManager.default.copyItem(atPath: snapshot, toPath: file.path)
            file.latestRun.withLock { $0 = mark }
            let bench = try file.open()
            #expect(bench.tier.fileReport?.isTakenBack == true)
            #expect(bench.lease(1)?.bytes == [1, 2, 3])
        }
    }

    @Test("one node at a time; and not while a client of the run before still maps the memory")
    func users() throws {
        let file = try FileBench()
        var bench: Workbench? = try file.open()
        try bench?.put(1, [1, 2, 3])
        #expect { try file.open() } throws: { error in
            (error as? CacheError)?.code == .storageFailure && "\(error)".contains("in use by another node")
        }
        let descriptor = try #require(try bench?.tier.arena.openForSharing(writable: false))
        let address = unsafe mmap(nil, 4_096, PROT_READ, MAP_SHARED, descriptor, 0)
        close(descriptor)
        bench = nil
        bench = try file.open()
        #expect(bench?.tier.fileReport?.discarded?.contains("still read") == true)
        #expect(bench?.holds(1) == false)
        // The client's bytes are as they were.
        let head = unsafe address?.load(as: UInt32.self)
        #expect(head == 0x4244_524C)
        unsafe _ = munmap(address, 4_096)
        try bench?.put(2, [4])
        bench = nil
        #expect(try file.open().lease(2)?.bytes == [4])
    }

    @Test("a file that others could write, or a link, is not touched: the memory goes without")
    func foreign() throws {
        let file = try FileBench()
        try Data("mine".utf8).write(to: URL(filePath: file.directory.path + "/other"))
        #expect(unsafe symlink(file.directory.path + "/other", file.path) == 0)
        let linked = try file.open()
        #expect(linked.tier.fileReport?.unavailable?.isEmpty == false)
        try linked.put(1, [1])
        #expect(linked.lease(1)?.bytes == [1])
        #expect(try String(contentsOfFile: file.directory.path + "/other", encoding: .utf8) == "mine")
        unsafe _ = unlink(file.path)
        try Data("x".utf8).write(to: URL(filePath: file.path))
        unsafe chmod(file.path, 0o666)
        #expect(try file.open().tier.fileReport?.unavailable?.contains("this user's alone") == true)
    }

    @Test("something else under the name is not touched")
    func somethingElse() throws {
        let file = try FileBench(name: "mine")
        let mine = Data(repeating: 7, count: 100_000)
        try mine.write(to: URL(filePath: file.path))
        unsafe chmod(file.path, 0o600)
        #expect(try file.open().tier.fileReport?.unavailable?.contains("no memory file") == true)
        #expect(FileManager.default.contents(atPath: file.path) == mine)
        unsafe _ = unlink(file.path)
        try file.open().put(1, [1])
        #expect(try file.open().lease(1)?.bytes == [1])
    }

    @Test("a folder that is not in memory, or not there, is not used", arguments: ["/proc/self", "/nowhere"])
    func notInMemory(folder: String) throws {
        let file = try FileBench(in: folder)
        let bench = try file.open()
        #expect(bench.tier.fileReport?.unavailable?.contains("not in memory") == true)
        try bench.put(1, [1])
        #expect(bench.lease(1)?.bytes == [1])
        #expect(file.latestRun.withLock { $0 } != nil)
    }

    @Test(
        "a file system that fills up stops the file's growth, and nothing else",
        .enabled(if: SmallFileSystem.isPermitted)
    )
    func shortage() throws {
        let small = try SmallFileSystem(megabytes: 140)
        let file = try FileBench(in: small.path)
        var bench = try file.open(byteCount: 128 << 20, policy: .forecast)
        #expect(bench.tier.fileReport?.path == file.path)
        #expect(bench.tier.statistics().freeByteCount == 128 << 20)
        #expect(bench.tier.statistics().largestFreeByteCount >= 96 << 20)
        small.fill(leaving: 20 << 20)
        for number in 0..<200 {
            let payload = Workbench.bytes(number, count: 1 << 20)
            try bench.put(number, payload)
            #expect(bench.lease(number)?.bytes == payload)
        }
        bench.tier.prefault { _ in true }
        let claimed = bench.tier.statistics().claimedByteCount
        let statistics = bench.tier.statistics()
        #expect(statistics.usedByteCount == statistics.blockByteCount)
        #expect(statistics.freeByteCount == claimed - statistics.usedByteCount)
        #expect(claimed >= 32 << 20 && claimed < 64 << 20)
        #expect(file.shortages.withLock { $0 } == [claimed])
        let held = (0..<200).filter { bench.holds($0) }
        #expect(held.count >= 20)
        // With the file system still full, what is there is taken back.
        try file.reopen(&bench, byteCount: 128 << 20, policy: .forecast)
        #expect(bench.tier.statistics().claimedByteCount == claimed)
        for number in held { #expect(bench.lease(number)?.bytes == Workbench.bytes(number, count: 1 << 20)) }
        small.free()
        try file.reopen(&bench, byteCount: 128 << 20, policy: .forecast)
        for number in 300..<420 { try bench.put(number, Workbench.bytes(number, count: 1 << 20)) }
        #expect(bench.tier.statistics().claimedByteCount == 128 << 20)
    }

    @Test(
        "a file system that is too small from the start is not used, and the reason says what to do",
        .enabled(if: SmallFileSystem.isPermitted)
    )
    func tooSmall() throws {
        let small = try SmallFileSystem(megabytes: 20)
        let file = try FileBench(in: small.path)
        let bench = try file.open(byteCount: 64 << 20)
        #expect(bench.tier.fileReport?.unavailable?.contains("remount,size") == true)
        #expect(!FileManager.default.fileExists(atPath: file.path))
        for number in 0..<80 { try bench.put(number, Workbench.bytes(number, count: 1 << 20)) }
        #expect(bench.tier.statistics().claimedByteCount == 64 << 20)
    }

    @Test("files are listed, removed when nobody uses them, and when their node's directory is gone")
    func inventory() throws {
        let folder = try TemporaryDirectory.inMemory()
        let file = try FileBench(in: folder.path)
        var bench: Workbench? = try file.open()
        try bench?.put(1, [1])
        let item = try #require(MemoryFileInventory.list(in: folder.path, prefix: "larder-").first)
        #expect(item.path == file.path && item.owner == file.directory.path && item.isInUse)
        #expect(item.byteCount >= 16 << 20)
        #expect(throws: CacheError.self) { try MemoryFileInventory.remove(file.path) }
        bench = nil
        #expect(MemoryFileInventory.item(at: file.path)?.isInUse == false)
        #expect(MemoryFileInventory.removeOrphans(in: folder.path, prefix: "larder-").isEmpty)
        try FileManager.default.moveItem(atPath: file.directory.path, toPath: file.directory.path + "-moved")
        #expect(
            MemoryFileInventory.removeOrphans(in: folder.path, prefix: "larder-").map(\.path) == [file.path]
        )
        #expect(!FileManager.default.fileExists(atPath: file.path))
        #expect(try MemoryFileInventory.remove(file.path) == nil)
        try FileManager.default.moveItem(atPath: file.directory.path + "-moved", toPath: file.directory.path)
        try Data("not a memory file".utf8).write(to: URL(filePath: folder.path + "/text"))
        #expect { try MemoryFileInventory.remove(folder.path + "/text") } throws: {
            ($0 as? CacheError)?.code == .invalidArgument
        }
    }
}
