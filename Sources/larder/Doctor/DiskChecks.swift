/// What a small test of a directory's disk measured.
struct DiskSpeed: Hashable, Sendable {
    /// Sequential, with the final fsync, bytes per second.
    let write: Double
    /// Sequential, after asking the kernel to forget the file, bytes per second.
    let read: Double
    /// Median of small writes with fdatasync, seconds.
    let syncSeconds: Double
}

/// Judges the data directory's disk.
///
/// Pure: the measurements are given.
enum DiskChecks {
    /// Sequential writes below this, bytes per second, make puts wait.
    static let writeSlowest = 200e6
    /// A sync above this, seconds, makes DURABLE puts wait.
    static let syncSlowest = 0.02

    /// Whether the disk budget fits.
    ///
    /// `used` is what the directory holds already, which counts as free.
    static func space(free: Int, used: Int, budget: Int) -> Finding {
        let available = free + used
        let text = "\(ByteCount(bytes: available)) for blocks, the budget is \(ByteCount(bytes: budget))"
        guard available < budget + budget / 20 else { return .ok("disk space", text) }
        let fitting = max(1, available / 21 * 20 / (1 << 30))
        return .failure("disk space", text, fix: "--disk \(fitting)GiB, or another --data-dir")
    }

    /// What the index of the disk tier takes when it is full, and the size of block that the budget needs.
    ///
    /// Smaller blocks are evicted while there is still space on disk.
    static func index(blockCountMax: Int, budget: Int, machineMemory: Int?) -> Finding {
        let byteCount = blockCountMax * BlockCounts.diskEntryByteCount
        let least = budget / max(1, blockCountMax)
        let text =
            "up to \(blockCountMax) blocks in \(ByteCount(bytes: byteCount)) of memory; blocks below "
            + "\(ByteCount(bytes: least)) on average do not fill the budget"
        guard let machineMemory, byteCount > machineMemory / 4 else { return .ok("disk index", text) }
        return .warning(
            "disk index",
            text,
            fix: "a smaller --disk-blocks: that is over a quarter of the memory"
        )
    }

    /// Whether the disk keeps up.
    static func speed(_ speed: DiskSpeed) -> [Finding] {
        let write = Rate.text(speed.write)
        let sync = Rate.seconds(speed.syncSeconds)
        return [
            speed.write >= writeSlowest
                ? .ok("disk writes", write)
                : .warning(
                    "disk writes",
                    write,
                    fix: "a faster disk: puts above this rate wait, then are refused"
                ),
            .ok("disk reads", Rate.text(speed.read)),
            speed.syncSeconds <= syncSlowest
                ? .ok("disk sync", "\(sync) each")
                : .warning(
                    "disk sync",
                    "\(sync) each",
                    fix: "a disk with a faster fsync, or few DURABLE puts"
                ),
        ]
    }
}
