internal import Blocks
internal import Synchronization

extension MemoryTier {
    /// What one reservation may cost in other blocks.
    private enum Effort {
        /// Most blocks that one call evicts or finds it may not evict.
        static let attemptCountMax = 65_536
        /// Most blocks that one call evicts in policy order before it clears a region instead.
        static let policyOrderCountMax = 4_096
        /// How many extents one search for a region looks at, at least; more when that many blocks have to go.
        static let regionNodeCountMin = 65_536
        /// Most regions that one call tries to clear.
        static let regionCountMax = 64
    }

    /// Evicts in policy order until so many bytes are free; returns the number of blocks evicted.
    ///
    /// Goes on for as long as there is something to evict: for a maintenance thread, in small portions.
    package func evict(untilFreeByteCount: Int) -> Int {
        let now = core.now
        var count = 0
        while freeByteCount < untilFreeByteCount, let evicted = evictNext(now: now) {
            if evicted > 0 { count += 1 }
        }
        return count
    }

    /// Takes an extent, first from free space, then at the cost of other blocks: those that the policy proposes,
    /// until twice the wanted bytes have gone; then, since the holes are too scattered, those that stand in the way
    /// of one contiguous region.
    func takeExtent(granuleCount: Int) throws(CacheError) -> Extent {
        if let extent = try tryExtent(granuleCount) { return extent }
        while core.grow(byteCount: granuleCount * Extent.granuleByteCount) {
            if let extent = try tryExtent(granuleCount) { return extent }
        }
        let now = core.now
        let wanted = granuleCount * Extent.granuleByteCount
        var evictedByteCount = 0
        var evictedCount = 0
        for _ in 0..<Effort.attemptCountMax {
            guard evictedByteCount < 2 * wanted, evictedCount < Effort.policyOrderCountMax,
                let byteCount = evictNext(now: now)
            else { break }
            guard byteCount > 0 else { continue }
            evictedByteCount += byteCount
            evictedCount += 1
            if let extent = try tryExtent(granuleCount) { return extent }
        }
        return try clearRegion(granuleCount: granuleCount, now: now)
    }

    private func tryExtent(_ granuleCount: Int) throws(CacheError) -> Extent? {
        switch core.space.withLock({ $0.reserve(granuleCount: granuleCount) }) {
        case .extent(let extent): return extent
        case .full: return nil
        case .tooManyReservations:
            throw CacheError(.overloaded, "blocks being received hold half of the memory tier; try again")
        }
    }

    /// Evicts one block, or withholds one that may not go.
    ///
    /// Returns the bytes that became free, 0 for none; `nil` when the policy has nothing to propose.
    private func evictNext(now: UInt64) -> Int? {
        guard let proposal = core.recency.withLock({ $0.victim() }) else { return nil }
        switch shard(ofSlot: proposal.slot).evict(proposal, now: now) {
        case .evicted(let departure):
            core.finish(departure)
            return departure.byteCount
        case .withheld, .gone:
            return 0
        }
    }

    private func clearRegion(granuleCount: Int, now: UInt64) throws(CacheError) -> Extent {
        for _ in 0..<Effort.regionCountMax {
            let region = core.space.withLock { space in
                let usedGranuleCount = space.allocator.granuleCount - space.allocator.freeGranuleCount
                let meanGranuleCount = max(1, usedGranuleCount / max(1, space.allocator.extentCount))
                return space.allocator.region(
                    granuleCount: granuleCount,
                    nodeCountMax: max(Effort.regionNodeCountMin, 4 * granuleCount / meanGranuleCount)
                )
            }
            guard let region else { break }
            if let obstacle = region.last(where: { !shard(ofSlot: $0.slot).mayGo($0, now: now) }) {
                core.space.withLock { $0.allocator.passOver(obstacle) }
                continue
            }
            for holder in region {
                guard let departure = shard(ofSlot: holder.slot).evict(holder, now: now) else { continue }
                core.finish(departure)
            }
            if let extent = try tryExtent(granuleCount) { return extent }
        }
        throw CacheError(
            .memoryExhausted,
            "no room for \(granuleCount * Extent.granuleByteCount) bytes: what is in memory is leased, pinned or not yet on disk"
        )
    }

    private var freeByteCount: Int {
        core.space.withLock { $0.allocator.freeGranuleCount } * Extent.granuleByteCount
    }
}
