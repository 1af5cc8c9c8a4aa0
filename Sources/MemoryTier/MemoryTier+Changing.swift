package import Blocks
internal import Synchronization

extension MemoryTier {
    /// Says that another node of the cluster keeps the block: this is a copy, which nobody counts on.
    package func markNear(_ handle: BlockHandle) {
        _ = shard(ofSlot: handle.slot).setNear(handle, true)
    }

    /// Says that this node keeps the block; returns whether it was a copy before.
    package func markKept(_ handle: BlockHandle) -> Bool {
        shard(ofSlot: handle.slot).setNear(handle, false)
    }

    /// Whether the block is a copy of what another node keeps.
    package func isNear(_ identity: BlockIdentity) -> Bool { shard(of: identity).isNear(identity) }

    /// Says that another tier holds the block too, so that it may be evicted.
    package func markClean(_ handle: BlockHandle) {
        shard(ofSlot: handle.slot).markClean(handle)
    }

    /// Says that no other tier holds the block after all, so that it must not be evicted.
    package func markDirty(_ handle: BlockHandle) {
        shard(ofSlot: handle.slot).markDirty(handle)
    }

    /// Whether blocks that no other tier holds may be evicted: when the disk tier cannot take them.
    package func setDirtyEvictable(_ isEvictable: Bool) {
        core.isDirtyEvictable.store(isEvictable, ordering: .sequentiallyConsistent)
        guard isEvictable else { return }
        for shard in shards {
            var entry: Int? = 0
            while let start = entry { entry = shard.offerStep(from: start) }
        }
    }

    /// Removes the block at once; its bytes go with the last lease.
    ///
    /// Returns what it was, `nil` when absent or expired.
    package func remove(_ identity: BlockIdentity, reason: RemovalReason) -> BlockSummary? {
        guard let departure = shard(of: identity).remove(identity, reason: reason) else { return nil }
        core.finish(departure)
        return departure.reason == reason ? departure.summary : nil
    }

    /// Removes the block of this residency at once; false when it has gone already.
    @discardableResult
    package func remove(_ handle: BlockHandle, reason: RemovalReason) -> Bool {
        guard let departure = shard(ofSlot: handle.slot).remove(handle, reason: reason) else { return false }
        core.finish(departure)
        return true
    }

    /// Removes all blocks of one prefix that are there when the call begins; returns how many.
    ///
    /// Looks at every block of the tier, a few hundred under each hold of a lock.
    package func removeAll(prefix: KeyPrefix, reason: RemovalReason) -> Int {
        let now = core.now
        var count = 0
        for shard in shards {
            var entry: Int? = 0
            while let start = entry {
                let step = shard.removeStep(from: start, prefix: prefix, reason: reason, now: now)
                for departure in step.departures { core.finish(departure) }
                count += step.departures.count { $0.reason == reason }
                entry = step.next
            }
        }
        return count
    }

    /// Changes tokens, times or pin; returns the block's new summary, `nil` when absent or expired.
    ///
    /// `change` is called under a lock: it changes the value it is given and nothing else.
    package func update(
        _ identity: BlockIdentity,
        _ change: (inout BlockAttributes) -> Void
    ) -> BlockSummary? {
        shard(of: identity).update(identity, change)
    }

    /// Looks at up to `blockCountMax` more blocks, going round the tier from call to call, and removes the expired
    /// ones; returns how many it removed, which may be none while there are more elsewhere.
    package func sweepExpired(blockCountMax: Int) -> Int {
        let now = core.now
        var remaining = blockCountMax
        var shardsLeft = shards.count + 1
        var removed = 0
        while remaining > 0, shardsLeft > 0 {
            let step = sweepPosition.withLock { position in
                let step = shards[position.shard].sweepStep(from: position.entry, count: remaining, now: now)
                position.advance(to: step.next)
                if position.shard == shards.count { position = WalkPosition() }
                return step
            }
            for departure in step.departures { core.finish(departure) }
            removed += step.departures.count
            remaining -= step.entryCount
            if step.next == nil { shardsLeft -= 1 }
        }
        return removed
    }
}
