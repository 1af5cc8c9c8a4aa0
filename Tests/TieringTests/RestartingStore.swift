import Blocks
import DiskTier
import Foundation
import MemoryTier
import Synchronization
import TestSupport
import Testing
import Tiering

/// A store with a memory file that ends and begins again, as a node does.
final class RestartingStore {
    let fixture: StoreFixture
    let clock = VirtualClock()
    private let folder: TemporaryDirectory
    private let runs = Runs()
    private var current: BlockStore?

    private final class Runs: Sendable {
        let latest = Mutex<RunMark?>(nil)
    }

    init(memoryMebibytes: Int = 32, diskMebibytes: Int = 128) throws {
        var configuration = StoreConfiguration()
        // What is not asked for is not written: the disk lags behind as far as it can.
        configuration.writeDelay = .seconds(3_600)
        fixture = try StoreFixture(
            memoryMebibytes: memoryMebibytes,
            diskMebibytes: diskMebibytes,
            clock: clock,
            configuration: configuration
        )
        folder = try TemporaryDirectory.inMemory()
        current = try open()
    }

    deinit { current?.close() }

    var filePath: String { folder.path + "/memory" }

    var store: BlockStore {
        get throws { try #require(current) }
    }

    func space() throws -> KeySpace { try store.space(tenant: .default, database: 0) }

    private func open() throws -> BlockStore {
        let runs = runs
        return try fixture.open(
            MemoryFileConfiguration(
                path: filePath,
                owner: fixture.directory.path,
                secretFingerprint: fixture.secret.fingerprint,
                latestRun: runs.latest.withLock { $0 },
                recordRun: { run in
                    runs.latest.withLock { $0 = run }
                    return nil
                }
            )
        )
    }

    /// Lets go of a closed store: its threads may hold it a moment longer.
    private func letGo() throws {
        current = nil
        let end = ContinuousClock.now + .seconds(60)
        while MemoryFileInventory.item(at: filePath)?.isInUse == true, ContinuousClock.now < end {
            usleep(1_000)
        }
    }

    /// Ends the store, with what is not on disk left unwritten unless it `drains`, and begins again.
    func restart(drains: Bool = false, meanwhile: () throws -> Void = {}) throws {
        if drains { #expect(try store.drain(within: .seconds(60)) { _, _ in } == 0) }
        try store.close()
        try letGo()
        try meanwhile()
        current = try open()
        #expect(try store.memoryFileReport?.isTakenBack == true)
    }

    /// Ends the store and begins again with an empty memory: what is on disk is there alone.
    func restartWithoutMemory() throws {
        try store.close()
        try letGo()
        try FileManager.default.removeItem(atPath: filePath)
        current = try open()
    }

    func put(_ number: Int, _ bytes: [UInt8], _ change: (inout PutOptions) -> Void = { _ in }) throws {
        #expect(try store.put(space(), number, bytes, change).outcome == .stored)
    }

    func get(_ number: Int) async throws -> [UInt8]? {
        try await store.get(space(), number..<(number + 1))[0]
    }

    /// Writes what waits for the disk, and goes on.
    func writeOut() async throws {
        let store = try store
        #expect(
            try store.put(space(), 999_999, [UInt8](repeating: 9, count: 9)) { $0.replaces = true }.outcome
                == .stored
        )
        let result = try store.put(space(), 999_998, [1, 2, 3]) {
            $0.isDurable = true
            $0.replaces = true
        }
        let ticket = try #require(result.durability)
        #expect(await store.durable(ticket) == nil)
    }
}
