/// A moment's figures of the memory tier.
///
/// Bytes are those of extents: header, key, payload and padding.
package struct MemoryStatistics: Sendable, Hashable {
    /// Bytes of the arena.
    package var arenaByteCount = 0
    /// Bytes that no block and no reservation holds.
    package var freeByteCount = 0
    /// Bytes of visible blocks, of removed blocks that wait for their last lease, and of reservations.
    package var usedByteCount = 0
    /// Bytes of the largest contiguous free extent; when many are about that large, of one among them.
    package var largestFreeByteCount = 0
    /// Bytes of reservations that are neither committed nor given back.
    package var reservedByteCount = 0
    /// Reservations that are neither committed nor given back.
    package var reservationCount = 0
    /// Visible blocks, expired ones that no sweep has met yet included.
    package var blockCount = 0
    /// Bytes of visible blocks.
    package var blockByteCount = 0
    /// Payload bytes of visible blocks, without headers, keys and padding.
    package var payloadByteCount = 0
    /// Visible blocks that no other tier holds yet.
    package var dirtyBlockCount = 0
    /// Bytes of visible blocks that no other tier holds yet.
    package var dirtyByteCount = 0
    /// Visible blocks under a pin whose end no sweep has met yet.
    package var pinnedBlockCount = 0
    /// Bytes of visible blocks under a pin whose end no sweep has met yet.
    package var pinnedByteCount = 0
    /// Visible blocks whose payload is coded.
    package var packedBlockCount = 0
    /// Bytes of visible blocks whose payload is coded.
    package var packedByteCount = 0
    /// Payload bytes of those, before coding.
    package var packedPayloadByteCount = 0
    /// Blocks under at least one lease or hold, removed ones included.
    package var leasedBlockCount = 0
    /// Bytes of blocks under at least one lease or hold, removed ones included.
    package var leasedByteCount = 0
    /// Removed blocks that wait for their last lease.
    package var departingBlockCount = 0
    /// Bytes of removed blocks that wait for their last lease.
    package var departingByteCount = 0
    /// Blocks stored since the start.
    package var storedBlockTotal: UInt64 = 0
    /// Blocks removed since the start, by `RemovalReason.rawValue`.
    package var removedBlockTotals = [UInt64](repeating: 0, count: RemovalReason.allCases.count)
    /// Bytes removed since the start, by `RemovalReason.rawValue`.
    package var removedByteTotals = [UInt64](repeating: 0, count: RemovalReason.allCases.count)
    /// Visible blocks whose payload was not proved since they were taken over from the run before.
    package var unverifiedBlockCount = 0
    /// Bytes of visible blocks whose payload was not proved since they were taken over.
    package var unverifiedByteCount = 0
    /// Blocks that were taken over and whose payload was proved since.
    package var verifiedBlockTotal: UInt64 = 0
    /// Blocks that were taken over and whose payload was found damaged since.
    package var damagedBlockTotal: UInt64 = 0
    /// Bytes of the arena that can be given out: all, or what a memory file has pages for.
    package var claimedByteCount = 0
    /// Bytes of the arena whose pages were claimed ahead of use.
    package var prefaultedByteCount = 0

    /// Figures of nothing.
    package init() {}

    /// The part that shards know.
    init(_ figures: ShardFigures) {
        blockCount = figures.linked.blockCount
        blockByteCount = figures.linked.byteCount
        payloadByteCount = figures.payloadByteCount
        dirtyBlockCount = figures.dirty.blockCount
        dirtyByteCount = figures.dirty.byteCount
        pinnedBlockCount = figures.pinned.blockCount
        pinnedByteCount = figures.pinned.byteCount
        unverifiedBlockCount = figures.unverified.blockCount
        unverifiedByteCount = figures.unverified.byteCount
        packedBlockCount = figures.packed.blockCount
        packedByteCount = figures.packed.byteCount
        packedPayloadByteCount = figures.packedPayloadByteCount
        leasedBlockCount = figures.leased.blockCount
        leasedByteCount = figures.leased.byteCount
        departingBlockCount = figures.departing.blockCount
        departingByteCount = figures.departing.byteCount
        storedBlockTotal = figures.storedBlockTotal
        removedBlockTotals = figures.removed.map { UInt64($0.blockCount) }
        removedByteTotals = figures.removed.map { UInt64($0.byteCount) }
    }

    /// Blocks removed since the start for `reason`.
    package func removedBlockTotal(_ reason: RemovalReason) -> UInt64 { removedBlockTotals[reason.rawValue] }

    /// Bytes removed since the start for `reason`.
    package func removedByteTotal(_ reason: RemovalReason) -> UInt64 { removedByteTotals[reason.rawValue] }
}
