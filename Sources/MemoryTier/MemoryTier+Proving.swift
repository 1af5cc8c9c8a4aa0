internal import Blocks
internal import Synchronization

/// Blocks that were taken over from the run before are proved when they are first read, and the others meanwhile.
///
/// Nothing is locked while a payload is read: two readers may prove the same one, and come to the same result.
extension MemoryTier {
    /// Proves up to `byteCountMax` more bytes of what was taken over, going on where the call before ended; at least one
    /// block. Returns false when nothing is left.
    package func proveTakenOver(byteCountMax: Int) -> Bool {
        guard core.hasUnverified.load(ordering: .relaxed) else { return false }
        return provingPosition.withLock { position in
            var provenByteCount = 0
            while position.shard < shards.count, provenByteCount < byteCountMax {
                let step = shards[position.shard].unverifiedStep(from: position.entry)
                position.advance(to: step.next)
                guard let handle = step.handle else { continue }
                if let lease = lease(handle) { unsafe provenByteCount += lease.payload.count }
            }
            guard position.shard == shards.count else { return true }
            // Entries are only ever added by commits, which prove by themselves, so one walk has met all.
            core.hasUnverified.store(false, ordering: .relaxed)
            return false
        }
    }

    /// The lease, once its payload is known to be what was stored; `nil` when it is not, and then the block goes.
    func proven(_ lease: BlockLease?) -> BlockLease? {
        guard let lease, lease.isUnverified else { return lease }
        guard unsafe PayloadChecksum.of(lease.payload) == lease.payloadChecksum else {
            if remove(lease.handle, reason: .corrupt) {
                core.damagedBlockTotal.wrappingAdd(1, ordering: .relaxed)
            }
            return nil
        }
        if shard(ofSlot: lease.handle.slot).markVerified(lease.handle) {
            core.verifiedBlockTotal.wrappingAdd(1, ordering: .relaxed)
        }
        return lease
    }

    /// Proves the block of this identity, or removes it.
    func proveResident(_ identity: BlockIdentity) {
        guard let handle = shard(of: identity).unverified(identity) else { return }
        _ = lease(handle)
    }
}
