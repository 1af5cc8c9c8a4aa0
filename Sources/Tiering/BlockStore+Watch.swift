package import Blocks
internal import DiskTier
package import MemoryTier

extension BlockStore {
    /// Where a block can be read now.
    package struct Residence: Sendable, Hashable {
        /// Whether memory holds it.
        package let isInMemory: Bool
        /// Whether the disk holds it, durably.
        package let isOnDisk: Bool
        /// Its tokens, 0 when nobody said.
        package let tokenCount: Int
    }

    /// Where a block can be read now.
    package func residence(of identity: BlockIdentity) -> Residence {
        let inMemory = memory.summary(identity)
        let onDisk = disk?.summary(identity)
        return Residence(
            isInMemory: inMemory != nil,
            isOnDisk: onDisk != nil,
            tokenCount: Int((inMemory ?? onDisk)?.attributes.tokenCount ?? 0)
        )
    }

    /// Visits about `count` of the blocks of a space that memory holds, from a cursor on, with what they are, how often each
    /// was read and whether it is a copy of what another node keeps; returns where to go on, 0 at the end.
    package func surveyMemory(
        _ space: KeySpace,
        from cursor: UInt64,
        count: Int,
        visit: (_ key: [UInt8], _ hits: UInt32, BlockSummary, _ isCopy: Bool) -> Void
    ) -> UInt64 {
        memory.scan(prefix: space.prefix, cursor: cursor, count: count) { identity, key, summary, hits in
            visit(key, hits, summary, memory.isNear(identity))
        }
    }

    /// Says that another node keeps a block from now on: what is here is a copy that may go, and its pin is that node's.
    package func becameCopy(_ identity: BlockIdentity) {
        if let handle = memory.handle(identity) { memory.markNear(handle) }
        let unpin: (inout BlockAttributes) -> Void = { $0.pinnedUntil = 0 }
        let isPinned = { (summary: BlockSummary?) in summary.map { $0.attributes.pinnedUntil != 0 } ?? false }
        if isPinned(memory.summary(identity)) { _ = memory.update(identity, unpin) }
        if isPinned(disk?.summary(identity)), updateOnDisk(identity, unpin) { writeBehind?.nudge() }
    }

    /// When a block was made, milliseconds since 1970; `nil` for one that is not here.
    package func createdAt(_ identity: BlockIdentity) -> UInt64? {
        (memory.summary(identity) ?? disk?.summary(identity))?.attributes.createdAt
    }

    /// Until when a block is pinned, milliseconds since 1970; 0 for one that is not, or is not here.
    package func pinnedUntil(_ identity: BlockIdentity) -> UInt64 {
        (memory.summary(identity) ?? disk?.summary(identity))?.attributes.pinnedUntil ?? 0
    }

    /// Drops a block whose owner holds other bytes under its key, and those came first.
    package func drop(_ identity: BlockIdentity) {
        counters.conflicts.add()
        _ = memory.remove(identity, reason: .replaced)
        forgetOnDisk(identity)
        _ = memory.remove(identity, reason: .replaced)
    }

    /// Takes a block out of memory that was brought there from the disk for one reader only.
    package func evictAgain(_ lease: BlockLease) {
        guard disk?.summary(lease.identity) != nil else { return }
        memory.remove(lease.handle, reason: .evicted)
    }

    /// Where a survey of a namespace goes on.
    package enum SurveyPlace: Sendable, Hashable {
        case memory(UInt64)
        case disk(UInt64)

        /// The beginning.
        package static let start = SurveyPlace.memory(0)
    }

    /// Visits about `count` of a namespace's blocks, in memory first, then on disk, each at least once over all steps;
    /// blocks, since keys on disk are read from there.
    ///
    /// - Returns: Where to go on; `nil` at the end.
    package func survey(
        _ space: KeySpace,
        from place: SurveyPlace,
        count: Int,
        visit: (BlockIdentity, _ key: [UInt8]) -> Void
    ) -> SurveyPlace? {
        switch place {
        case .memory(let cursor):
            let next = memory.scan(prefix: space.prefix, cursor: cursor, count: count) {
                identity,
                key,
                _,
                _ in
                visit(identity, key)
            }
            if next != 0 { return .memory(next) }
            return disk == nil ? nil : .disk(0)
        case .disk(let cursor):
            let next = try? disk?.scan(prefix: space.prefix, cursor: cursor, count: count) {
                identity,
                key,
                _ in
                visit(identity, key)
            }
            guard let next, next != 0 else { return nil }
            return .disk(next)
        }
    }
}
