package import Blocks

/// The blocks in memory: one arena, a sharded index, leases by reference count, eviction by policy.
package final class MemoryTier: Sendable {
    /// Told of every block that left and why; called outside all locks, on the thread that removed it.
    package typealias RemovalHandler = @Sendable (BlockIdentity, BlockSummary, RemovalReason) -> Void

    /// The shared memory that holds the blocks.
    package let arena: Arena

    /// Maps the arena; `.invalidArgument` for a configuration out of bounds, `.storageFailure` without memory.
    package init(
        _ configuration: MemoryTierConfiguration,
        clock: any CacheClock,
        onRemoval: @escaping RemovalHandler = { _, _, _ in }
    ) throws(CacheError) {
        arena = try Arena(byteCount: configuration.byteCount)
    }

    /// Takes space for a block, evicting others in policy order where it must. Nothing becomes visible.
    package func reserve(
        _ identity: BlockIdentity,
        key: RawSpan,
        payloadByteCount: Int
    ) throws(CacheError) -> Reservation {
        throw CacheError(.memoryExhausted, "")
    }

    /// Makes the block visible in one step.
    package func commit(
        _ reservation: Reservation,
        attributes: BlockAttributes,
        payloadChecksum: UInt64,
        replaces: Bool,
        isDirty: Bool
    ) -> CommitOutcome { .conflict }

    /// Leases the block with this identity and key; `nil` when absent, expired or stored under another key.
    package func lease(_ identity: BlockIdentity, key: RawSpan) -> BlockLease? { nil }

    /// Leases the block that `handle` names; `nil` when it has gone or expired.
    package func lease(_ handle: BlockHandle) -> BlockLease? { nil }

    /// What is known of the block; `nil` when absent or expired.
    package func summary(_ identity: BlockIdentity) -> BlockSummary? { nil }

    /// The block's current residency; `nil` when absent or expired.
    package func handle(_ identity: BlockIdentity) -> BlockHandle? { nil }

    /// Tells the policy that the blocks were used, in the given order.
    package func touch(_ handles: [BlockHandle]) {}

    /// Counts a hold on the block; balanced by one `release`.
    package func retain(_ identity: BlockIdentity) -> (handle: BlockHandle, byteCount: Int)? { nil }

    /// Ends one hold.
    package func release(_ handle: BlockHandle) {}

    /// Says that another tier holds the block too.
    package func markClean(_ handle: BlockHandle) {}

    /// Whether blocks that no other tier holds may be evicted.
    package func setDirtyEvictable(_ isEvictable: Bool) {}

    /// Removes the block at once; its bytes go with the last lease.
    package func remove(_ identity: BlockIdentity, reason: RemovalReason) -> BlockSummary? { nil }

    /// Removes the blocks of one prefix; returns how many.
    package func removeAll(prefix: KeyPrefix, reason: RemovalReason) -> Int { 0 }

    /// Changes tokens, times or pin; returns the block's new summary, `nil` when absent or expired.
    package func update(
        _ identity: BlockIdentity,
        _ change: (inout BlockAttributes) -> Void
    ) -> BlockSummary? { nil }

    /// Looks at up to `blockCountMax` more blocks and removes the expired ones; returns how many it removed.
    package func sweepExpired(blockCountMax: Int) -> Int { 0 }

    /// Evicts in policy order until so many bytes are free; returns the number of blocks evicted.
    package func evict(untilFreeByteCount: Int) -> Int { 0 }

    /// Walks the blocks in steps; returns the cursor for the next step, 0 at the end.
    package func scan(
        prefix: KeyPrefix?,
        cursor: UInt64,
        count: Int,
        visit: (BlockIdentity, [UInt8], BlockSummary, _ hits: UInt32) -> Void
    ) -> UInt64 { 0 }

    /// A moment's figures.
    package func statistics() -> MemoryStatistics { MemoryStatistics() }

    /// Claims the arena's pages in address order; blocks its thread.
    package func prefault(progress: (Int) -> Bool) {}
}
