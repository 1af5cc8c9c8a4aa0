internal import Blocks
internal import Eviction
internal import Synchronization

/// Blocks of the run before: made visible, and proved when they are first read.
extension Shard {
    /// Makes a block of the run before visible, whose header is in its extent.
    ///
    /// Returns its handle, and the record of the extent of an older block of the same identity that it takes the place
    /// of: a process that ends while it replaces a block leaves both.
    func takeOver(
        _ header: BlockHeader,
        extent: Extent,
        isDirty: Bool,
        now: UInt64
    ) -> (handle: BlockHandle, replacedNode: UInt32?) {
        state.withLock { state in
            var replacedNode: UInt32?
            if let entry = state.find(header.identity) {
                let departure = unlink(entry, reason: .replaced, in: &state)
                replacedNode = departure.extentNode
            }
            let entry = state.takeVacant()
            state.link(entry, header: header, extent: extent, isDirty: isDirty, isTakenOver: true, now: now)
            let handle = handle(of: entry, in: state)
            let traits = BlockTraits(
                identityBits: header.identity.bits,
                byteCount: extent.byteCount,
                place: nil
            )
            core.recency.withLock { $0.inserted(handle, traits) }
            return (handle, replacedNode)
        }
    }

    /// Says that the payload of this handle's block was proved; false when it was known, or the block has gone.
    func markVerified(_ handle: BlockHandle) -> Bool {
        state.withLock { state in
            guard let entry = state.find(entry(of: handle.slot), generation: handle.generation),
                state.entries[entry].flags.contains(.unverified)
            else { return false }
            state.markVerified(entry)
            return true
        }
    }

    /// Whether the visible block of this identity is there and was not proved yet; its handle then.
    func unverified(_ identity: BlockIdentity) -> BlockHandle? {
        state.withLock { state in
            guard let entry = state.find(identity), state.entries[entry].flags.contains(.unverified) else {
                return nil
            }
            return handle(of: entry, in: state)
        }
    }

    /// The first block that was not proved yet among the entries from `start` on, and where to go on; looks at no more
    /// entries than one hold of the lock may.
    func unverifiedStep(from start: Int) -> (next: Int?, handle: BlockHandle?) {
        state.withLock { state in
            let end = min(start + Self.walkStepCount, state.entries.count)
            var entry = start
            while entry < end {
                defer { entry += 1 }
                guard state.entries[entry].flags.contains(.unverified) else { continue }
                return (entry + 1, handle(of: entry, in: state))
            }
            return (end < state.entries.count ? end : nil, nil)
        }
    }
}
