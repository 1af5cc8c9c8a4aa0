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

    /// The prefixes of all blocks. Locks a shard for a few entries at a time.
    package var prefixes: Set<KeyPrefix> {
        var prefixes: Set<KeyPrefix> = []
        walk { prefixes.insert($0.identity.prefix) }
        return prefixes
    }

    /// Bytes of the payloads of all blocks that have one of these prefixes.
    package func payloadByteCount(of prefixes: Set<KeyPrefix>) -> Int {
        var byteCount = 0
        walk { block in
            if prefixes.contains(block.identity.prefix) { byteCount += block.payloadByteCount }
        }
        return byteCount
    }

    private func walk(_ visit: (borrowing BlockEntry) -> Void) {
        for shard in shards {
            var entry: Int? = 0
            while let start = entry { entry = shard.visitStep(from: start, visit) }
        }
    }
}
