package import Blocks
internal import DiskTier
package import MemoryTier
internal import Synchronization

extension BlockStore {
    /// Takes space for a block whose length is known; nothing is visible until `commit`. Never blocks.
    ///
    /// - Throws: `.invalidArgument` or `.limitExceeded` for what can never fit; `.overloaded` or `.memoryExhausted`
    ///   when it may a moment later (see `whenSpaceFrees`); `.shuttingDown` while draining.
    package func reserve(
        _ space: KeySpace,
        key: RawSpan,
        payloadByteCount: Int
    ) throws(CacheError) -> Reservation {
        guard (1...Limits.keyByteCountMax).contains(key.byteCount) else {
            throw CacheError(
                .invalidArgument,
                "a key has 1 to \(Limits.keyByteCountMax) bytes, not \(key.byteCount)"
            )
        }
        guard (1...Limits.payloadByteCountMax).contains(payloadByteCount) else {
            throw CacheError(
                .limitExceeded,
                "a block has 1 to \(Limits.payloadByteCountMax) bytes, not \(payloadByteCount)"
            )
        }
        guard admits(space) else {
            throw CacheError(
                .unauthorized,
                "this node's memory is shared with processes of another tenant (KV.ATTACH), so it takes no blocks of tenant "
                    + "\(space.tenant): use another node for it"
            )
        }
        guard !isDraining.load(ordering: .relaxed) else {
            throw CacheError(.shuttingDown, "the node is draining; put to another one")
        }
        if let status = writeBehind?.status, status.failure == nil, status.byteCount > 0,
            status.byteCount + payloadByteCount > dirtyByteCountMax
        {
            throw CacheError(
                .overloaded,
                "the write-behind queue is full (\(status.byteCount) bytes wait for the disk); try again"
            )
        }
        if space.isShared, let byteCount = handoffByteCount(for: key), byteCount > 0,
            byteCount + payloadByteCount > handoffByteCountMax
        {
            throw CacheError(
                .overloaded,
                "\(byteCount) bytes wait to be given to other nodes of the cluster; try again"
            )
        }
        return try memory.reserve(space.identity(of: key), key: key, payloadByteCount: payloadByteCount)
    }

    /// Whether blocks of a space may enter the memory; counted where not.
    func admits(_ space: KeySpace) -> Bool {
        if memory.tenancy.admit(space.tenantMark) { return true }
        counters.refusedShared.add()
        return false
    }

    /// Counts a put that was turned away for good, by its reason. `reserve` does not: the caller may wait and try again.
    package func countRefusal(_ error: CacheError) {
        switch error.code {
        case .overloaded: counters.refusedOverload.add()
        case .memoryExhausted: counters.refusedMemory.add()
        default: counters.refusedOther.add()
        }
    }

    /// Calls `resume` once, on any thread, when memory may have been freed and `reserve` is worth another try: after a
    /// unit was written, a lease ended, or some milliseconds. The caller keeps its own deadline.
    package func whenSpaceFrees(_ resume: @escaping @Sendable () -> Void) {
        guard spaceWaiters.count < 65_536, !isDraining.load(ordering: .relaxed) else { return resume() }
        writeBehind?.nudge()
        spaceWaiters.add(resume)
    }

    /// Makes a received block visible, in one step, and queues it for the disk.
    ///
    /// Computes the payload's checksum, so the caller's thread reads it once, unless the caller has done so while the
    /// bytes came in.
    package func commit(
        _ reservation: Reservation,
        in space: KeySpace,
        _ options: PutOptions,
        payloadChecksum: UInt64? = nil
    ) -> PutResult {
        let identity = reservation.identity
        let checksum =
            unsafe payloadChecksum ?? PayloadChecksum.of(UnsafeRawBufferPointer(reservation.payload))
        let byteCount = reservation.payloadByteCount
        if isDeleted(identity, options) { return PutResult(outcome: .deleted, durability: nil) }
        if !options.replaces, let held = heldOnDiskOnly(identity) {
            return resolveAgainstDisk(held, identity, byteCount: byteCount, checksum: checksum, options)
        }
        if space.isShared, let peers = peers.withLock({ $0 }) {
            let key = reservation.keyBytes
            if unsafe !peers.role(of: key.span.bytes).isOwner {
                return commitForOwner(reservation, key: key, in: space, options, checksum: checksum)
            }
        }
        let goesToDisk = disk.map { byteCount <= $0.payloadByteCountMax } ?? false
        if options.isDurable, disk != nil, !goesToDisk {
            return PutResult(
                refused: CacheError(.limitExceeded, "a durable block is at most a quarter of the disk budget")
            )
        }
        // Read before the commit: afterwards the block may be evicted at any moment, and its key with it.
        let announcement = configuration.watcher.flatMap { watcher in
            space.description == nil ? nil : (watcher, reservation.keyBytes)
        }
        let outcome = memory.commit(
            reservation,
            attributes: attributes(identity, in: space, options),
            payloadChecksum: checksum,
            replaces: options.replaces,
            isDirty: goesToDisk,
            place: chains.take(identity)
        )
        switch outcome {
        case .stored(let handle):
            // Once more: a deletion that came after the first look did not find the block.
            if isDeleted(identity, options) {
                memory.remove(handle, reason: .deleted)
                return PutResult(outcome: .deleted, durability: nil)
            }
            if options.replaces { forgetOnDisk(identity) }
            if goesToDisk {
                writeBehind?.enqueue(handle, byteCount: byteCount)
            } else {
                packer?.offer(handle)
            }
            if let (watcher, key) = announcement {
                watcher.arrived(identity, key: key, after: options.predecessor)
            }
            counters.stored.add()
            counters.storedBytes.add(byteCount)
            counters.storedTokens.add(Int(options.tokenCount))
            space.counters.puts.add()
            space.counters.putBytes.add(byteCount)
            return PutResult(outcome: .stored, durability: ticket(for: handle, options))
        case .exists(let handle):
            counters.existed.add()
            adopt(handle, identity, byteCount: byteCount)
            pinExisting(identity, until: options.pinnedUntil)
            if options.isDurable { writeAgain(handle, identity, byteCount: byteCount) }
            return PutResult(outcome: .exists, durability: ticket(for: handle, options))
        case .conflict:
            counters.conflicts.add()
            return PutResult(outcome: .conflict, durability: nil)
        }
    }

    /// Whether a block that another node sends has been deleted since it was made; counted.
    private func isDeleted(_ identity: BlockIdentity, _ options: PutOptions) -> Bool {
        guard let createdAt = options.createdAt,
            deletions?.covers(identity, createdAt: createdAt) == true
        else { return false }
        counters.refusedDeleted.add()
        return true
    }

    /// Keeps a block of which this node only had a copy: it is put to it as its owner now.
    private func adopt(_ handle: BlockHandle, _ identity: BlockIdentity, byteCount: Int) {
        guard configuration.isClustered, memory.markKept(handle) else { return }
        writeAgain(handle, identity, byteCount: byteCount)
    }

    /// Queues a block in memory for the disk that is not there: it never was, or has been evicted from it since.
    private func writeAgain(_ handle: BlockHandle, _ identity: BlockIdentity, byteCount: Int) {
        guard let disk, byteCount <= disk.payloadByteCountMax, disk.summary(identity) == nil,
            !memory.isPacked(identity)
        else { return }
        memory.markDirty(handle)
        writeBehind?.enqueue(handle, byteCount: byteCount)
    }

    /// Makes a block visible here that another node owns, and queues it for that one.
    private func commitForOwner(
        _ reservation: Reservation,
        key: [UInt8],
        in space: KeySpace,
        _ options: PutOptions,
        checksum: UInt64
    ) -> PutResult {
        let identity = reservation.identity
        let byteCount = reservation.payloadByteCount
        let outcome = memory.commit(
            reservation,
            attributes: attributes(identity, in: space, options),
            payloadChecksum: checksum,
            replaces: options.replaces,
            // Until its owner has it, no other copy is sure to exist.
            isDirty: true,
            place: chains.take(identity)
        )
        switch outcome {
        case .stored(let handle):
            if let lease = memory.lease(handle) {
                handoff.enqueue(lease, key: key, in: space, options.wish)
            }
            if let watcher = configuration.watcher, space.description != nil {
                watcher.arrived(identity, key: key, after: options.predecessor)
            }
            counters.stored.add()
            counters.storedBytes.add(byteCount)
            counters.storedTokens.add(Int(options.tokenCount))
            space.counters.puts.add()
            space.counters.putBytes.add(byteCount)
            let waits = options.isDurable || options.waitsForOwner
            return PutResult(
                outcome: .stored,
                durability: waits ? .gift(handle, isDurable: options.isDurable) : nil
            )
        case .exists(let handle):
            counters.existed.add()
            // The owner may have lost what this is a copy of; and who wants it durable or pinned must ask there.
            let wantsMore = options.isDurable || options.pinnedUntil != 0
            if wantsMore || memory.isNear(identity), let lease = memory.lease(handle) {
                handoff.enqueue(lease, key: key, in: space, options.wish)
            }
            let waits = options.isDurable || options.waitsForOwner
            return PutResult(
                outcome: .exists,
                durability: waits ? .gift(handle, isDurable: options.isDurable) : nil
            )
        case .conflict:
            counters.conflicts.add()
            return PutResult(outcome: .conflict, durability: nil)
        }
    }

    private var handoffByteCountMax: Int {
        Int(Double(memory.arena.byteCount) * configuration.handoffShareMax)
    }

    /// Bytes that wait for their owners, when the block of `key` would wait too.
    private func handoffByteCount(for key: RawSpan) -> Int? {
        guard let peers = peers.withLock({ $0 }), !peers.role(of: key).isOwner else { return nil }
        return handoff.status.byteCount
    }

    /// Calls `completion` once the block is on disk and synced, or with the reason why it is not. On a thread of the
    /// store's, or before this returns.
    package func whenDurable(
        _ ticket: DurabilityTicket,
        _ completion: @escaping @Sendable (CacheError?) -> Void
    ) {
        if ticket.isGift {
            return handoff.whenGiven(ticket.handle, isDurable: ticket.isDurable, completion)
        }
        guard let writeBehind else {
            return completion(
                CacheError(.tierUnavailable, "this node has no disk tier; start it with --disk")
            )
        }
        counters.durablePuts.add()
        writeBehind.whenWritten(ticket.handle, completion)
    }

    private var dirtyByteCountMax: Int {
        Int(Double(memory.arena.byteCount) * configuration.dirtyShareMax)
    }

    private func attributes(_ identity: BlockIdentity, in space: KeySpace, _ options: PutOptions)
        -> BlockAttributes
    {
        let now = clock.unixMilliseconds()
        var expiresAt = options.expiresAt
        if let timeToLive = options.timeToLive {
            expiresAt = max(1, now &+ timeToLive.nanoseconds / 1_000_000)
        } else if options.keepsTimeToLive, let held = memory.summary(identity) ?? disk?.summary(identity) {
            expiresAt = held.attributes.expiresAt
        }
        return BlockAttributes(
            tokenCount: options.tokenCount,
            elementType: space.elementType,
            createdAt: options.createdAt ?? creationTime(of: identity, now: now),
            expiresAt: expiresAt,
            pinnedUntil: options.pinnedUntil
        )
    }

    /// When a block that is put now was made: after any deletion that is known of it.
    private func creationTime(of identity: BlockIdentity, now: UInt64) -> UInt64 {
        guard let deletedAt = deletions?.deletedAt(identity) else { return now }
        return max(now, deletedAt &+ 1)
    }

    private func heldOnDiskOnly(_ identity: BlockIdentity) -> BlockSummary? {
        guard let disk, memory.handle(identity) == nil else { return nil }
        return disk.summary(identity)
    }

    /// A block on disk is known by its length and checksum without being read.
    ///
    /// What is in the index is in a table that was synced before it was made visible: it is durable already.
    private func resolveAgainstDisk(
        _ held: BlockSummary,
        _ identity: BlockIdentity,
        byteCount: Int,
        checksum: UInt64,
        _ options: PutOptions
    ) -> PutResult {
        guard held.payloadByteCount == byteCount, held.payloadChecksum == checksum else {
            counters.conflicts.add()
            return PutResult(outcome: .conflict, durability: nil)
        }
        counters.existed.add()
        pinExisting(identity, until: options.pinnedUntil)
        return PutResult(outcome: .exists, durability: nil)
    }

    /// Pins a block that was there already as a put of it asks; a longer pin that it has stays.
    ///
    /// As a new block's, the pin of a put is not weighed against the share that pins may hold.
    private func pinExisting(_ identity: BlockIdentity, until: UInt64) {
        guard until != 0 else { return }
        let change: (inout BlockAttributes) -> Void = { $0.pinnedUntil = max($0.pinnedUntil, until) }
        _ = memory.update(identity, change)
        if updateOnDisk(identity, change) { writeBehind?.nudge() }
    }

    private func ticket(for handle: BlockHandle, _ options: PutOptions) -> DurabilityTicket? {
        options.isDurable ? .write(handle) : nil
    }

    /// Takes an older version out of the disk tier's index, and keeps a read of it under way from becoming visible.
    func forgetOnDisk(_ identity: BlockIdentity) {
        guard let disk else { return }
        if let bound = disk.invalidateNoting(identity) { note(.removal(identity), before: bound) }
        loader.cancel(identity)
    }
}
