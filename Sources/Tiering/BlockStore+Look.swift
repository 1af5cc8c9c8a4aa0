package import Blocks
internal import DiskTier
internal import MemoryTier

extension BlockStore {
    /// What is known of a block without reading it, and its best tier.
    package func summary(_ space: KeySpace, key: RawSpan) -> (summary: BlockSummary, tier: Tier)? {
        let identity = space.identity(of: key)
        if let summary = memory.summary(identity) { return (summary, .memory) }
        if let summary = disk?.summary(identity) { return (summary, .disk) }
        return nil
    }

    /// Why a key is, or is not, here.
    package func explain(_ space: KeySpace, key: RawSpan) -> Explanation {
        let identity = space.identity(of: key)
        if memory.summary(identity) != nil { return .memory }
        if disk?.summary(identity) != nil { return .disk }
        return departures.reason(identity)
    }

    /// The prefixes that most matches of this space ended in, hottest first.
    package func hottestPrefixes(_ space: KeySpace, limit: Int) -> [HotPrefix] {
        hotPrefixes.hottest(space.prefix, limit: limit)
    }

    /// Walks the keys of a space, memory first, then what is on disk alone. Keys that come or go meanwhile may be seen
    /// or not, as with Redis's SCAN. `next` is 0 at the end.
    ///
    /// Keys on disk are read from the tables, so `completion` is called on a thread of the store's.
    package func scan(
        _ space: KeySpace,
        cursor: UInt64,
        count: Int,
        _ completion: @escaping @Sendable (_ keys: [[UInt8]], _ next: UInt64) -> Void
    ) {
        if cursor & Self.diskCursorBit == 0 {
            var keys: [[UInt8]] = []
            let next = memory.scan(prefix: space.prefix, cursor: cursor, count: max(1, count)) {
                _,
                key,
                _,
                _ in
                keys.append(key)
            }
            if next != 0 { return completion(keys, next) }
            return completion(keys, disk == nil ? 0 : Self.diskCursorBit)
        }
        guard let disk else { return completion([], 0) }
        _ = ServiceThread(name: "larder-scan") { [memory] in
            var keys: [[UInt8]] = []
            let next = try? disk.scan(
                prefix: space.prefix,
                cursor: cursor & ~Self.diskCursorBit,
                count: max(1, count)
            ) { identity, key, _ in
                if memory.handle(identity) == nil { keys.append(key) }
            }
            completion(keys, next.map { $0 == 0 ? 0 : $0 | Self.diskCursorBit } ?? 0)
        }
    }

    /// The number of blocks of a space, each counted once whatever tiers hold it. Walks the indexes.
    package func blockCount(_ space: KeySpace) -> Int {
        let memory = self.memory
        let inMemory = memory.blockCount(prefix: space.prefix)
        guard let disk else { return inMemory }
        return inMemory + disk.blockCount(prefix: space.prefix) { memory.handle($0) == nil }
    }

    private static var diskCursorBit: UInt64 { 1 << 62 }
}
