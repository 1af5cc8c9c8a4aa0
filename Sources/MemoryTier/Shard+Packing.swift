internal import Blocks
internal import Synchronization

/// Blocks whose payload lies coded in its extent.
extension Shard {
    /// A packed block while it is read.
    struct PackedBlock {
        /// Keeps the coded bytes in place, which its payload are.
        let lease: BlockLease
        /// Bytes of the payload before coding.
        let payloadByteCount: Int
    }

    /// Whether the visible, unexpired block of this identity is packed.
    func isPacked(_ identity: BlockIdentity) -> Bool {
        state.withLock { state in
            readable(identity, in: state).map { state.entries[$0].flags.contains(.packed) } ?? false
        }
    }

    /// Leases the packed, unexpired block of this identity whose stored key is `key`.
    func leasePacked(_ identity: BlockIdentity, key: RawSpan) -> PackedBlock? {
        state.withLock { state in
            guard let entry = readable(identity, in: state), holds(state.entries[entry], identity, key),
                state.entries[entry].flags.contains(.packed)
            else { return nil }
            state.countHit(entry)
            return PackedBlock(
                lease: lease(entry, in: &state),
                payloadByteCount: state.entries[entry].payloadByteCount
            )
        }
    }

    /// What a block that is to be packed is found to be.
    enum PackingCandidate {
        /// It can be: nobody reads it, and another tier has it or need not.
        case free(BlockLease)
        /// It was read since it had the given number of hits.
        case used(hitCount: UInt32)
        /// Somebody reads it, or it is not on disk yet.
        case busy
        /// It has gone, or is packed.
        case gone
    }

    /// Looks whether the block may be packed, and leases it if so.
    func packingCandidate(_ handle: BlockHandle, hitCount: UInt32) -> PackingCandidate {
        state.withLock { state in
            guard let entry = state.find(entry(of: handle.slot), generation: handle.generation),
                isReadable(entry, in: state), !state.entries[entry].flags.contains(.packed)
            else { return .gone }
            let block = state.entries[entry]
            guard block.leaseCount == 0, block.flags.isDisjoint(with: [.dirty, .unverified]) else {
                return .busy
            }
            guard block.hitCount == hitCount else { return .used(hitCount: block.hitCount) }
            return .free(lease(entry, in: &state))
        }
    }

    /// Says that the payload of this handle's block lies in `extent` now, whose header is encoded there, `header`; returns
    /// the record of its old extent, which the caller frees when it reads that no more.
    ///
    /// `nil`, and nothing changed, when the block has gone, or when somebody else could be reading the old extent: packed
    /// blocks are read by who unpacks them only.
    func move(_ handle: BlockHandle, to extent: Extent, _ header: BlockHeader) -> UInt32? {
        state.withLock { state in
            guard let entry = state.find(entry(of: handle.slot), generation: handle.generation) else {
                return nil
            }
            let isPacked = header.codec != .raw
            let block = state.entries[entry]
            guard block.flags.contains(.packed) != isPacked, !isPacked || block.leaseCount == 1,
                block.payloadChecksum == header.payloadChecksum
            else { return nil }
            // Tokens, times and pin may have changed since the header was made.
            unsafe BlockHeader.rewrite(
                block.attributes,
                keyByteCount: header.keyByteCount,
                in: core.arena.bytes(of: extent)
            )
            core.file?.publish(extent, isClean: !block.flags.contains(.dirty))
            let oldNode = state.move(
                entry,
                to: extent,
                storedByteCount: header.storedByteCount,
                isPacked: isPacked
            )
            core.file?.directory.clear(oldNode)
            core.space.withLock { $0.settle(extent, in: handle.slot) }
            return oldNode
        }
    }
}
