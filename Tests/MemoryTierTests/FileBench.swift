import Blocks
import Eviction
import Foundation
import Synchronization
import TestSupport

@testable import MemoryTier

/// A memory file and the node's word on its latest run, for tiers that come and go on it.
///
/// A tier does nothing at its end that a killed process would not: letting go of it is a kill between two operations.
final class FileBench: Sendable {
    let clock = VirtualClock()
    let directory: TemporaryDirectory
    let latestRun = Mutex<RunMark?>(nil)
    let shortages = Mutex<[Int]>([])
    /// Told when a run is about to be recorded.
    let beforeRecording = Mutex<(@Sendable () -> Void)?>(nil)
    let path: String

    init(in folder: String? = nil, name: String = "larder-memory") throws {
        directory = try TemporaryDirectory.inMemory()
        path = (folder ?? directory.path) + "/" + name
    }

    func configuration(secret: UInt64 = 1) -> MemoryFileConfiguration {
        MemoryFileConfiguration(
            path: path,
            owner: directory.path,
            secretFingerprint: SIMD2(secret, 2),
            latestRun: latestRun.withLock { $0 },
            recordRun: { run in
                self.beforeRecording.withLock { $0 }?()
                self.latestRun.withLock { $0 = run }
                return nil
            },
            onShortage: { byteCount in self.shortages.withLock { $0.append(byteCount) } }
        )
    }

    func open(
        byteCount: Int = 16 << 20,
        blockCountMax: Int = 4_096,
        secret: UInt64 = 1,
        policy: EvictionPolicyName = .lru
    ) throws(CacheError) -> Workbench {
        var configuration = MemoryTierConfiguration(
            byteCount: byteCount,
            blockCountMax: blockCountMax,
            shardCount: 4,
            policy: policy
        )
        configuration.file = self.configuration(secret: secret)
        return try Workbench(configuration, clock: clock)
    }

    /// Lets go of a tier and opens the next one.
    func reopen(
        _ bench: inout Workbench,
        byteCount: Int = 16 << 20,
        blockCountMax: Int = 4_096,
        policy: EvictionPolicyName = .lru
    ) throws(CacheError) {
        bench = try Workbench()
        bench = try open(byteCount: byteCount, blockCountMax: blockCountMax, policy: policy)
    }

    var fileByteCount: Int {
        (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? -1
    }

    /// Changes bytes of the file behind everybody's back.
    func damage(at offset: Int, _ change: (UInt8) -> UInt8 = { $0 ^ 16 }) throws {
        let file = try FileHandle(forUpdating: URL(filePath: path))
        try file.seek(toOffset: UInt64(offset))
        let byte = try file.read(upToCount: 1)?.first ?? 0
        try file.seek(toOffset: UInt64(offset))
        try file.write(contentsOf: Data([change(byte)]))
        try file.close()
    }
}
