/// How many blocks each tier may hold when the settings do not say.
///
/// Pure: the machine's memory is given. The counts bound the memory of the indexes, which is used as blocks come.
enum BlockCounts {
    /// Bytes of memory that the disk tier's index takes for one block.
    static let diskEntryByteCount = 112
    /// The largest number of blocks that `--disk-blocks` takes.
    static let diskHighest = 60_000_000
    /// The largest number of blocks that `--memory-blocks` takes.
    static let memoryHighest = 1 << 28

    /// The size of block, bytes, at which a derived count still fills the disk budget.
    private static let diskBlockByteCount = 2_048
    /// The same for the memory budget, above the least count.
    private static let memoryBlockByteCount = 32 << 10
    /// The share of the machine's memory that the disk tier's index may take unless a setting says otherwise.
    private static let machineMemoryShare = 16

    /// Most blocks on disk: enough to fill `budget` bytes with blocks of 2 KiB, as far as the index fits a 16th of
    /// the machine's memory; at least 1,000,000 and at most 60,000,000.
    ///
    /// - Parameter machineMemory: bytes that the machine or its control group has; `nil` when it is unknown.
    static func disk(budget: Int, machineMemory: Int?) -> Int {
        let filling = budget / diskBlockByteCount
        let fitting = machineMemory.map { $0 / machineMemoryShare / diskEntryByteCount } ?? 0
        return min(max(1_000_000, min(filling, fitting)), diskHighest)
    }

    /// Most blocks in memory: one for every 32 KiB of `budget`, at least 500,000.
    static func memory(budget: Int) -> Int {
        min(max(500_000, budget / memoryBlockByteCount), memoryHighest)
    }
}
