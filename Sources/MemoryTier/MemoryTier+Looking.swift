package import Blocks
internal import Synchronization

extension MemoryTier {
    /// Walks the readable blocks in steps: each block that is there throughout is visited once.
    ///
    /// A step visits up to `count` blocks (at least one is asked for) and may visit none before the end, for its
    /// work is bounded. Keys are copied; `visit` is called outside all locks.
    ///
    /// - Parameters:
    ///   - prefix: Whose blocks; `nil` for all.
    ///   - cursor: 0 to begin, then what the step before returned.
    ///   - count: Most blocks to visit.
    ///   - visit: Gets identity, key, summary and hits of each block.
    /// - Returns: The cursor of the next step, 0 at the end.
    package func scan(
        prefix: KeyPrefix?,
        cursor: UInt64,
        count: Int,
        visit: (BlockIdentity, [UInt8], BlockSummary, _ hits: UInt32) -> Void
    ) -> UInt64 {
        let now = core.now
        var position = WalkPosition(cursor: cursor)
        var remaining = max(1, count)
        for _ in 0..<Self.scanStepCountMax {
            guard position.shard < shards.count, remaining > 0 else { break }
            let step = shards[position.shard].scanStep(
                from: position.entry,
                prefix: prefix,
                sightCountMax: remaining,
                now: now
            )
            for sight in step.sights { visit(sight.identity, sight.key, sight.summary, sight.hitCount) }
            remaining -= step.sights.count
            position.advance(to: step.next)
        }
        return position.shard < shards.count ? position.cursor : 0
    }

    /// Most holds of a shard's lock in one call of `scan`.
    private static let scanStepCountMax = 64

    /// A moment's figures; exact when nothing else goes on.
    package func statistics() -> MemoryStatistics {
        var figures = ShardFigures()
        for shard in shards { figures += shard.figures }
        var statistics = MemoryStatistics(figures)
        core.space.withLock { space in
            let used = space.allocator.granuleCount - space.allocator.freeGranuleCount
            // What a memory file has not claimed yet is free, unless it cannot.
            let unclaimed = space.granuleCountMax - space.allocator.granuleCount
            statistics.usedByteCount = used * Extent.granuleByteCount
            statistics.freeByteCount = (space.granuleCountMax - used) * Extent.granuleByteCount
            statistics.largestFreeByteCount =
                max(space.allocator.largestFreeGranuleCount, unclaimed) * Extent.granuleByteCount
            statistics.reservedByteCount = space.reserved.byteCount
            statistics.reservationCount = space.reserved.blockCount
        }
        statistics.arenaByteCount = arena.byteCount
        statistics.claimedByteCount = core.file?.claimedByteCount ?? arena.byteCount
        statistics.verifiedBlockTotal = core.verifiedBlockTotal.load(ordering: .relaxed)
        statistics.damagedBlockTotal = core.damagedBlockTotal.load(ordering: .relaxed)
        statistics.prefaultedByteCount = prefaultedByteCount.load(ordering: .relaxed)
        return statistics
    }

    /// Claims the arena's pages in address order, so that puts never wait for the kernel; what is stored stays.
    ///
    /// Blocks its thread, a second or more per GiB. Does nothing when the configuration says so, and stops where the
    /// kernel cannot do it. `progress` is called with the bytes claimed so far, and stops it by returning false.
    package func prefault(progress: (Int) -> Bool) {
        guard prefaults else { return }
        while true {
            let start = prefaultedByteCount.load(ordering: .relaxed)
            // A memory file's pages first have to be there.
            let end = min(start + Arena.populateStepByteCount, arena.byteCount)
            if let file = core.file, file.claimedByteCount < end,
                !core.grow(byteCount: end - file.claimedByteCount)
            {
                guard file.claimedByteCount >= end else { return }
            }
            guard let next = arena.populate(from: start) else { return }
            prefaultedByteCount.store(next, ordering: .relaxed)
            guard progress(next) else { return }
        }
    }
}
