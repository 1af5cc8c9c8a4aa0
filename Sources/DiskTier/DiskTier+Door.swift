package import Blocks

extension DiskTier {
    /// The budget, bytes.
    package var byteCountMax: Int { configuration.byteCountMax }

    /// Bytes after which a unit is full.
    package var unitByteCount: Int { configuration.unitByteCount }

    /// Payload bytes of the blocks pinned now. Visits single blocks only where there are pins.
    package var pinnedByteCount: Int { index.totals(at: clock.unixMilliseconds()).pinnedByteCount }

    /// The number of readable blocks of one namespace for which `isCounted` holds. Walks the index.
    package func blockCount(prefix: KeyPrefix, where isCounted: (BlockIdentity) -> Bool) -> Int {
        let now = clock.unixMilliseconds()
        var count = 0
        index.forEach { entry, _ in
            guard entry.identity.prefix == prefix, !entry.isExpired(at: now), isCounted(entry.identity) else {
                return
            }
            count += 1
        }
        return count
    }

    /// The prefixes of all blocks. Walks the index.
    package var prefixes: Set<KeyPrefix> {
        var prefixes: Set<KeyPrefix> = []
        index.forEach { entry, _ in prefixes.insert(entry.identity.prefix) }
        return prefixes
    }
}
