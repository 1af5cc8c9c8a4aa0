internal import Blocks
internal import DiskTier
internal import MemoryTier

/// What a memory file and the disk tier make of each other when a node starts: the file is as the run before left it at
/// whatever moment it ended, the disk is as of its last unit.
extension BlockStore {
    /// Settles for every block of the run before which tiers hold it; before anybody asks for one.
    ///
    /// - The changes that the disk did not have yet are made again.
    /// - A block whose bytes are on disk is clean.
    /// - One that is not there and never was is queued for the disk again, in the order of puts. So is one that was there
    ///   when the disk lost something; otherwise it had left for lack of room, and need not come back.
    /// - Other bytes on disk under its key are an older version: memory's is the one that was answered.
    func takeOver() {
        repeatPendingChanges()
        for block in memory.takeTakenOver() {
            guard let disk, block.summary.payloadByteCount <= disk.payloadByteCountMax else {
                memory.markClean(block.handle)
                continue
            }
            if let held = disk.summary(block.identity) {
                if held.payloadByteCount == block.summary.payloadByteCount,
                    held.payloadChecksum == block.summary.payloadChecksum
                {
                    memory.markClean(block.handle)
                    packer?.offer(block.handle)
                    continue
                }
                forgetOnDisk(block.identity)
            } else if block.wasClean, !disk.openReport.hasLost {
                continue
            }
            guard !memory.isPacked(block.identity) else {
                // The disk has lost what it had: the packed one is as good as one of a node without a disk.
                memory.markClean(block.handle)
                continue
            }
            memory.markDirty(block.handle)
            writeBehind?.enqueue(block.handle, byteCount: block.summary.payloadByteCount)
        }
    }

    private func repeatPendingChanges() {
        guard let disk, let pending = memory.pendingChanges, !pending.found.isEmpty else { return }
        let mark = pending.mark
        for change in pending.found {
            switch change.kind {
            case .removal(let identity): disk.hide(identity, before: change.bound)
            case .clear(let prefix): disk.hideAll(prefix: prefix, before: change.bound)
            case .times(let identity, let expiresAt, let pinnedUntil):
                disk.setTimes(
                    identity,
                    before: change.bound,
                    expiresAt: expiresAt,
                    pinnedUntil: pinnedUntil
                )
            }
        }
        // Durable at once where that can be; where not, they stay noted until a unit is.
        do {
            let unit = try disk.beginUnit()
            try unit.finish()
            pending.forget(before: mark)
        } catch {
            counters.writeFailures.add()
        }
    }
}
