package import Blocks

extension MemoryTier {
    /// The number of readable blocks of one prefix. Walks the index.
    package func blockCount(prefix: KeyPrefix) -> Int {
        var count = 0
        var cursor: UInt64 = 0
        repeat {
            cursor = scan(prefix: prefix, cursor: cursor, count: 4_096) { _, _, _, _ in count += 1 }
        } while cursor != 0
        return count
    }
}
