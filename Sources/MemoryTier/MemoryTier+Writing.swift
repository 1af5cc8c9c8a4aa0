package import Blocks
package import Eviction
internal import Synchronization

extension MemoryTier {
    /// Takes space for a block, evicting others where it must.
    ///
    /// Nothing becomes visible before `commit`.
    ///
    /// - Parameters:
    ///   - identity: Which block.
    ///   - key: Its key, 1 to 512 bytes; copied.
    ///   - payloadByteCount: Bytes of its payload, 1 to 512 MiB.
    /// - Returns: The space, to be filled and committed.
    /// - Throws: `.invalidArgument` or `.limitExceeded` for lengths out of bounds; `.overloaded` when other
    ///   reservations hold half of the arena; `.memoryExhausted` when nothing may be evicted that makes enough room.
    package func reserve(
        _ identity: BlockIdentity,
        key: RawSpan,
        payloadByteCount: Int
    ) throws(CacheError) -> Reservation {
        guard (1...Limits.keyByteCountMax).contains(key.byteCount) else {
            throw CacheError(
                .invalidArgument,
                "a key has 1 to \(Limits.keyByteCountMax) bytes, not \(key.byteCount)"
            )
        }
        guard payloadByteCount > 0 else {
            throw CacheError(.invalidArgument, "a block has at least one byte")
        }
        guard payloadByteCount <= Limits.payloadByteCountMax else {
            throw CacheError(.limitExceeded, "a block has at most \(Limits.payloadByteCountMax) bytes")
        }
        let layout = ExtentLayout(keyByteCount: key.byteCount, payloadByteCount: payloadByteCount)
        guard layout.byteCount <= arena.byteCount else {
            throw CacheError(
                .limitExceeded,
                "\(payloadByteCount) bytes are more than the memory tier has; raise --memory"
            )
        }
        let extent = try takeExtent(granuleCount: layout.granuleCount)
        return Reservation(
            identity,
            key: key,
            layout: layout,
            payloadByteCount: payloadByteCount,
            extent: extent,
            core: core
        )
    }

    /// Makes the block visible in one step, or gives its space back.
    ///
    /// - Parameters:
    ///   - reservation: Space of this tier, its payload written; spent by the call.
    ///   - attributes: Tokens, times, pin and number format.
    ///   - payloadChecksum: XXH3 of the payload.
    ///   - replaces: Whether the block takes the place of another under its key. Where not, the same bytes are
    ///     `.exists` and others `.conflict`.
    ///   - isDirty: Whether no other tier holds the block, so that it must not be evicted yet.
    ///   - place: Where the block stands in the request that brings it, if that is known.
    /// - Returns: What became of it.
    package func commit(
        _ reservation: Reservation,
        attributes: BlockAttributes,
        payloadChecksum: UInt64,
        replaces: Bool,
        isDirty: Bool,
        place: ChainPlace? = nil
    ) -> CommitOutcome {
        commit(
            reservation,
            attributes: attributes,
            payloadChecksum: payloadChecksum,
            replaces: replaces,
            isDirty: isDirty,
            place: place,
            takesLease: false,
            isNear: false
        )
        .outcome
    }

    /// The same for a clean block, and a lease on it or on the same bytes that were there already, taken in the same step:
    /// a block that may be evicted could be gone the moment after.
    ///
    /// `isNear` makes it a copy of what another node keeps, unless it was there already.
    ///
    /// - Returns: The lease; `nil` when the key is held with other bytes.
    package func commitLeasing(
        _ reservation: Reservation,
        attributes: BlockAttributes,
        payloadChecksum: UInt64,
        place: ChainPlace? = nil,
        isNear: Bool = false
    ) -> BlockLease? {
        let commit = commit(
            reservation,
            attributes: attributes,
            payloadChecksum: payloadChecksum,
            replaces: false,
            isDirty: false,
            place: place,
            takesLease: true,
            isNear: isNear
        )
        return proven(commit.lease)
    }

    private func commit(
        _ reservation: Reservation,
        attributes: BlockAttributes,
        payloadChecksum: UInt64,
        replaces: Bool,
        isDirty: Bool,
        place: ChainPlace?,
        takesLease: Bool,
        isNear: Bool
    ) -> Shard.Commit {
        precondition(reservation.core === core, "a reservation is committed where it was made")
        reservation.spend()
        let header = BlockHeader(
            identity: reservation.identity,
            keyByteCount: reservation.keyByteCount,
            attributes: attributes,
            payloadByteCount: reservation.payloadByteCount,
            payloadChecksum: payloadChecksum
        )
        reservation.encode(header)
        // Damaged bytes must not be what a whole block is turned away for.
        if core.hasUnverified.load(ordering: .relaxed) { proveResident(reservation.identity) }
        let commit = shard(of: reservation.identity).commit(
            header,
            extent: reservation.extent,
            replaces: replaces,
            isDirty: isDirty,
            place: place,
            takesLease: takesLease,
            isNear: isNear
        )
        if let departure = commit.departure { core.finish(departure) }
        switch commit.outcome {
        case .stored: break
        case .exists, .conflict: core.space.withLock { $0.giveBack(reservation.extent) }
        }
        return commit
    }
}
