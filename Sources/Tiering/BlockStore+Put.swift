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
        return try memory.reserve(space.identity(of: key), key: key, payloadByteCount: payloadByteCount)
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
        if !options.replaces, let held = heldOnDiskOnly(identity) {
            return resolveAgainstDisk(held, byteCount: byteCount, checksum: checksum)
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
            return PutResult(outcome: .exists, durability: ticket(for: handle, options))
        case .conflict:
            counters.conflicts.add()
            return PutResult(outcome: .conflict, durability: nil)
        }
    }

    /// Calls `completion` once the block is on disk and synced, or with the reason why it is not. On a thread of the
    /// store's, or before this returns.
    package func whenDurable(
        _ ticket: DurabilityTicket,
        _ completion: @escaping @Sendable (CacheError?) -> Void
    ) {
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
            createdAt: now,
            expiresAt: expiresAt,
            pinnedUntil: options.pinnedUntil
        )
    }

    private func heldOnDiskOnly(_ identity: BlockIdentity) -> BlockSummary? {
        guard let disk, memory.handle(identity) == nil else { return nil }
        return disk.summary(identity)
    }

    /// A block on disk is known by its length and checksum without being read.
    private func resolveAgainstDisk(_ held: BlockSummary, byteCount: Int, checksum: UInt64) -> PutResult {
        guard held.payloadByteCount == byteCount, held.payloadChecksum == checksum else {
            counters.conflicts.add()
            return PutResult(outcome: .conflict, durability: nil)
        }
        counters.existed.add()
        return PutResult(outcome: .exists, durability: nil)
    }

    private func ticket(for handle: BlockHandle, _ options: PutOptions) -> DurabilityTicket? {
        options.isDurable ? DurabilityTicket(handle: handle) : nil
    }

    /// Takes an older version out of the disk tier's index, and keeps a read of it under way from becoming visible.
    func forgetOnDisk(_ identity: BlockIdentity) {
        guard let disk else { return }
        if let bound = disk.invalidateNoting(identity) { note(.removal(identity), before: bound) }
        loader.cancel(identity)
    }
}
