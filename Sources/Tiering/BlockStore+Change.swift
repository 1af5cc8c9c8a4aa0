package import Blocks
internal import DiskTier
internal import MemoryTier

extension BlockStore {
    /// Deletes blocks from every tier; returns how many were held.
    package func delete(_ space: KeySpace, keys: KeyBatch) -> Int {
        deleteEach(space, keys: keys, at: deletionTime()).count { $0 }
    }

    /// The time of a deletion that a client asks this node for, milliseconds since 1970.
    ///
    /// Later than now by as much as the clocks of the nodes may differ: a copy that was made by a clock that is ahead is
    /// older than it all the same.
    package func deletionTime() -> UInt64 {
        clock.unixMilliseconds() &+ (deletions == nil ? 0 : Self.clockDifferenceMax)
    }

    /// How far apart the clocks of a cluster's nodes may be for a deletion to win over every copy, milliseconds.
    private static let clockDifferenceMax: UInt64 = 2_000

    /// Deletes blocks from every tier; returns for each whether it was held.
    ///
    /// - Parameter time: ``deletionTime()`` of the node that the client asked.
    package func deleteEach(_ space: KeySpace, keys: KeyBatch, at time: UInt64) -> [Bool] {
        let wasHeld = (0..<keys.count).map { index in
            let identity = space.identity(of: keys[index])
            note(space, key: keys.bytes(at: index), identity, at: time)
            return delete(identity)
        }
        if wasHeld.contains(true) {
            writeBehind?.nudge()
            spaceWaiters.wakeAll()
        }
        return wasHeld
    }

    /// Notes a deletion before the block is taken away: whatever brings a copy of it from then on finds the tombstone.
    func note(_ space: KeySpace, key: [UInt8]?, _ identity: BlockIdentity?, at time: UInt64) {
        guard let deletions, space.description != nil else { return }
        let held = identity.flatMap { memory.summary($0) ?? disk?.summary($0) }
        let record = DeletionRecord(
            tenant: space.tenant,
            namespace: space.namespace,
            key: key,
            deletedAt: max(time, held?.attributes.createdAt ?? 0)
        )
        deletions.note(record, identity: identity, prefix: space.prefix, now: clock.unixMilliseconds())
    }

    /// Deletes every block of a space; returns how many were held.
    package func clear(_ space: KeySpace) -> Int { clear(space, at: deletionTime()) }

    /// The same, at ``deletionTime()`` of the node that the client asked.
    package func clear(_ space: KeySpace, at time: UInt64) -> Int {
        note(space, key: nil, nil, at: time)
        let inMemory = memory.removeAll(prefix: space.prefix, reason: .cleared)
        var onDisk = 0
        if let disk {
            let (count, bound) = disk.invalidateAllNoting(prefix: space.prefix)
            onDisk = count
            if let bound { note(.clear(space.prefix), before: bound) }
            loader.cancelAll(prefix: space.prefix)
            // What a read made visible between the two steps goes too.
            _ = memory.removeAll(prefix: space.prefix, reason: .cleared)
        }
        peerLoader.cancelAll(prefix: space.prefix)
        handoff.cancelAll(prefix: space.prefix)
        _ = configuration.isClustered ? memory.removeAll(prefix: space.prefix, reason: .cleared) : 0
        hotPrefixes.forget(space.prefix)
        writeBehind?.nudge()
        spaceWaiters.wakeAll()
        return max(inMemory, onDisk)
    }

    /// Keeps blocks from eviction until a time (milliseconds since 1970, `UInt64.max` for ever); false for a key that is
    /// not held, or when pins already hold their share of the tier.
    package func pin(_ space: KeySpace, keys: KeyBatch, until: UInt64) -> [Bool] {
        (0..<keys.count).map { index in setPin(space.identity(of: keys[index]), until: until) }
    }

    /// The same for those keys that `isKept` says this node keeps; false for the others.
    package func pinKept(
        _ space: KeySpace,
        keys: KeyBatch,
        until: UInt64,
        isKept: (RawSpan) -> Bool
    ) -> [Bool] {
        (0..<keys.count).map { isKept(keys[$0]) && setPin(space.identity(of: keys[$0]), until: until) }
    }

    /// Ends pins; false for a key that is not held.
    package func unpin(_ space: KeySpace, keys: KeyBatch) -> [Bool] {
        (0..<keys.count).map { index in
            update(space.identity(of: keys[index])) { $0.pinnedUntil = 0 }
        }
    }

    /// Sets when a block stops being readable, milliseconds since 1970; 0 is never. False when it is not held.
    package func expire(_ space: KeySpace, key: RawSpan, at unixMilliseconds: UInt64) -> Bool {
        update(space.identity(of: key)) { $0.expiresAt = unixMilliseconds }
    }

    /// Marks blocks as used now; returns how many are held.
    package func touch(_ space: KeySpace, keys: KeyBatch) -> Int {
        var held = 0
        var handles: [BlockHandle] = []
        for index in 0..<keys.count {
            let identity = space.identity(of: keys[index])
            if memory.summary(identity) != nil, let handle = memory.handle(identity) {
                handles.append(handle)
                held += 1
            } else if disk?.summary(identity) != nil {
                held += 1
            }
        }
        handles.reverse()
        memory.touch(handles)
        return held
    }

    /// The order matters: whatever a reader or the writer does between two steps, the last one sees it.
    private func delete(_ identity: BlockIdentity) -> Bool {
        let now = clock.unixMilliseconds()
        let inMemory = memory.remove(identity, reason: .deleted)
        var onDisk = false
        if let disk {
            let bound = disk.invalidateNoting(identity)
            onDisk = bound != nil
            if let bound { note(.removal(identity), before: bound) }
            loader.cancel(identity)
            _ = memory.remove(identity, reason: .deleted)
        }
        if configuration.isClustered {
            peerLoader.cancel(identity)
            handoff.cancel(identity)
            _ = memory.remove(identity, reason: .deleted)
        }
        let wasReadable = inMemory.map { !$0.attributes.isExpired(at: now) } ?? onDisk
        if wasReadable { departures.record(identity, .deleted) }
        return wasReadable
    }

    private func setPin(_ identity: BlockIdentity, until: UInt64) -> Bool {
        var isHeld = false
        if let summary = memory.summary(identity) {
            let share = Int(Double(memory.arena.byteCount) * configuration.pinnedShareMax)
            let now = clock.unixMilliseconds()
            let own = summary.attributes.pinnedUntil > now ? summary.payloadByteCount : 0
            if memory.statistics().pinnedByteCount - own + summary.payloadByteCount <= share {
                isHeld = memory.update(identity) { $0.pinnedUntil = until } != nil
            }
        }
        if let disk, let summary = disk.summary(identity) {
            let share = Int(Double(disk.byteCountMax) * configuration.pinnedShareMax)
            let own = summary.attributes.pinnedUntil > clock.unixMilliseconds() ? summary.payloadByteCount : 0
            if disk.pinnedByteCount - own + summary.payloadByteCount <= share {
                isHeld = updateOnDisk(identity) { $0.pinnedUntil = until } || isHeld
                writeBehind?.nudge()
            }
        }
        return isHeld
    }

    private func update(_ identity: BlockIdentity, _ change: (inout BlockAttributes) -> Void) -> Bool {
        let inMemory = memory.update(identity, change) != nil
        let onDisk = updateOnDisk(identity, change)
        if onDisk { writeBehind?.nudge() }
        return inMemory || onDisk
    }

    func updateOnDisk(
        _ identity: BlockIdentity,
        _ change: (inout BlockAttributes) -> Void
    ) -> Bool {
        guard let (summary, bound) = disk?.updateNoting(identity, change) else { return false }
        let attributes = summary.attributes
        note(
            .times(identity, expiresAt: attributes.expiresAt, pinnedUntil: attributes.pinnedUntil),
            before: bound
        )
        return true
    }

    /// Keeps a change of the disk tier for the next run, in case this one is killed before it is durable.
    func note(_ kind: PendingChange.Kind, before bound: UInt64) {
        memory.pendingChanges?.note(PendingChange(kind, before: bound))
    }
}
