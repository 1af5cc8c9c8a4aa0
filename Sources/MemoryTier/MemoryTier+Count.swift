package import Blocks

extension MemoryTier {
    /// The number of readable blocks of one prefix; looks at every block, a few hundred under each hold of a lock.
    package func blockCount(prefix: KeyPrefix) -> Int {
        let now = core.now
        var count = 0
        for shard in shards {
            var entry: Int? = 0
            while let start = entry {
                let step = shard.countStep(from: start, prefix: prefix, now: now)
                count += step.blockCount
                entry = step.next
            }
        }
        return count
    }
}
