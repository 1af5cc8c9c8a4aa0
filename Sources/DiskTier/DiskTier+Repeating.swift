package import Blocks
import Synchronization

/// Changes of the run before that it had answered and not written: made again, each for the copies it concerned.
///
/// A copy that was written after the change, under the same key, stays.
extension DiskTier {
    /// Takes a block out if it lies before `bound`.
    package func hide(_ identity: BlockIdentity, before bound: UInt64) {
        let bound = BlockLocation(number: bound)
        let removed = writeState.withLock { state in
            let removed = index.remove(identity) { $0.location < bound }
            if let removed { state.hide(identity, upTo: removed.location) }
            return removed
        }
        if let removed { onRemoval(identity, removed.summary, .deleted) }
    }

    /// Takes all blocks of a namespace out that lie before `bound`.
    package func hideAll(prefix: KeyPrefix, before bound: UInt64) {
        // Not beyond what there is: the numbers of a unit that was never finished are used again.
        let bound = writeState.withLock { state in
            let bound = min(BlockLocation(number: bound), state.bound)
            state.adopt(.clear(prefix: prefix, bound: bound), oldestUnit: 0)
            return bound
        }
        var count = 0
        index.removeAll {
            $0.identity.prefix == prefix && $0.location < bound
        } removed: { entry in
            count += 1
            onRemoval(entry.identity, entry.summary, .cleared)
        }
        if count == 0 { writeState.withLock { $0.withdrawClear(prefix, bound: bound) } }
    }

    /// Gives a block that lies before `bound` other times.
    package func setTimes(
        _ identity: BlockIdentity,
        before bound: UInt64,
        expiresAt: UInt64,
        pinnedUntil: UInt64
    ) {
        let bound = BlockLocation(number: bound)
        writeState.withLock { state in
            guard var entry = index.entry(identity), entry.location < bound else { return }
            entry.attributes.expiresAt = expiresAt
            entry.attributes.pinnedUntil = pinnedUntil
            _ = index.update(identity) { $0.attributes = entry.attributes }
            state.update(entry)
        }
    }
}
