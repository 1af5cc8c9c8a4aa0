internal import Blocks

/// The blocks of one shard: entries by number, the index to find them, and their figures, always in step.
///
/// A value that decides; locks, arena, allocator and policy are `Shard`'s matter.
struct ShardState {
    private(set) var entries: [BlockEntry] = []
    private(set) var figures = ShardFigures()
    private var index = BlockIndex()
    private var firstVacant = none

    private static let none = UInt32.max

    /// An empty shard; address space, not memory, is set aside for `entryCount` blocks.
    init(entryCount: Int) {
        entries.reserveCapacity(entryCount)
    }

    /// The bits of an identity that the index uses; the shard was chosen by others.
    @inline(__always)
    private static func tag(of identity: BlockIdentity) -> UInt32 {
        UInt32(truncatingIfNeeded: identity.bits >> 32)
    }

    // MARK: Finding

    /// The visible block of this identity, expired or not.
    @inline(__always)
    func find(_ identity: BlockIdentity) -> Int? {
        index.find(Self.tag(of: identity)) { entries[$0].identity == identity }
    }

    /// The visible block in this place, if it is still of this generation.
    func find(_ number: Int, generation: UInt32) -> Int? {
        guard number < entries.count, entries[number].generation == generation,
            entries[number].flags.contains(.linked)
        else { return nil }
        return number
    }

    /// Whether eviction may take the block at `now`.
    func mayGo(_ number: Int, at now: UInt64, isDirtyEvictable: Bool) -> Bool {
        let entry = entries[number]
        guard entry.flags.contains(.linked), entry.leaseCount == 0 else { return false }
        if isExpired(number, at: now) { return true }
        if entry.flags.contains(.pinned), entry.pinnedUntil > now { return false }
        return isDirtyEvictable || !entry.flags.contains(.dirty)
    }

    /// Whether the block's time is over at `now`.
    func isExpired(_ number: Int, at now: UInt64) -> Bool {
        let end = entries[number].expiresAt
        return end != 0 && end <= now
    }

    // MARK: Coming and going

    /// The entry that `link` will use next.
    mutating func takeVacant() -> Int {
        guard firstVacant != Self.none else {
            entries.append(BlockEntry())
            return entries.count - 1
        }
        let number = Int(firstVacant)
        firstVacant = entries[number].extentNode
        return number
    }

    /// Makes a block visible in a vacant entry.
    mutating func link(
        _ number: Int,
        header: BlockHeader,
        extent: Extent,
        isDirty: Bool,
        isTakenOver: Bool = false,
        now: UInt64
    ) {
        entries[number].occupy(with: header, extent: extent)
        entries[number].flags = .linked
        if header.codec != .raw { setPacked(number, true) }
        if isTakenOver {
            entries[number].flags.insert(.unverified)
            figures.unverified.add(extent.byteCount)
        } else {
            figures.storedBlockTotal += 1
        }
        figures.linked.add(extent.byteCount)
        figures.payloadByteCount += header.payloadByteCount
        if isDirty {
            entries[number].flags.insert(.dirty)
            figures.dirty.add(extent.byteCount)
        }
        countPin(number, now: now)
        index.insert(Self.tag(of: header.identity), entry: number)
    }

    /// Makes a block invisible; its entry stays while leases keep it.
    mutating func unlink(_ number: Int, reason: RemovalReason) -> Departure {
        let entry = entries[number]
        let byteCount = entry.byteCount
        index.remove(Self.tag(of: entry.identity), entry: number)
        figures.linked.subtract(byteCount)
        figures.payloadByteCount -= entry.payloadByteCount
        figures.removed[reason.rawValue].add(byteCount)
        if entry.flags.contains(.dirty) { figures.dirty.subtract(byteCount) }
        if entry.flags.contains(.pinned) { figures.pinned.subtract(byteCount) }
        if entry.flags.contains(.packed) {
            figures.packed.subtract(byteCount)
            figures.packedPayloadByteCount -= entry.payloadByteCount
        }
        if entry.flags.contains(.unverified) { figures.unverified.subtract(byteCount) }
        entries[number].flags = []
        if entry.leaseCount > 0 {
            figures.departing.add(byteCount)
        } else {
            vacate(number)
        }
        return Departure(
            identity: entry.identity,
            summary: entry.summary,
            reason: reason,
            byteCount: byteCount,
            extentNode: entry.leaseCount > 0 ? nil : entry.extentNode
        )
    }

    private mutating func vacate(_ number: Int) {
        entries[number].vacate(nextVacant: firstVacant)
        firstVacant = UInt32(truncatingIfNeeded: number)
    }

    /// Says that a visible block's payload lies elsewhere now, coded or not any more; returns the record of the extent where
    /// it was.
    mutating func move(_ number: Int, to extent: Extent, storedByteCount: Int, isPacked: Bool) -> UInt32 {
        let before = entries[number]
        setPacked(number, false)
        entries[number].move(to: extent, storedByteCount: storedByteCount)
        let difference = extent.byteCount - before.byteCount
        figures.linked.byteCount += difference
        if before.flags.contains(.dirty) { figures.dirty.byteCount += difference }
        if before.flags.contains(.pinned) { figures.pinned.byteCount += difference }
        if before.flags.contains(.unverified) { figures.unverified.byteCount += difference }
        if before.leaseCount > 0 { figures.leased.byteCount += difference }
        setPacked(number, isPacked)
        return before.extentNode
    }

    private mutating func setPacked(_ number: Int, _ isPacked: Bool) {
        let entry = entries[number]
        guard entry.flags.contains(.packed) != isPacked else { return }
        if isPacked {
            entries[number].flags.insert(.packed)
            figures.packed.add(entry.byteCount)
            figures.packedPayloadByteCount += entry.payloadByteCount
        } else {
            entries[number].flags.remove(.packed)
            figures.packed.subtract(entry.byteCount)
            figures.packedPayloadByteCount -= entry.payloadByteCount
        }
    }

    // MARK: Leases

    /// Counts one lease or hold.
    mutating func retain(_ number: Int) {
        if entries[number].leaseCount == 0 { figures.leased.add(entries[number].byteCount) }
        entries[number].leaseCount += 1
    }

    /// Counts one read.
    mutating func countHit(_ number: Int) {
        if entries[number].hitCount < .max { entries[number].hitCount &+= 1 }
    }

    /// What the end of a lease leaves to do.
    enum Release {
        /// Nothing: stale handle, or others hold the block.
        case nothing
        /// The last lease of a visible block ended.
        case unheld(Int)
        /// The last lease of a removed block ended: its extent is to be freed.
        case departed(extentNode: UInt32)
    }

    /// Ends one lease or hold; nothing for a stale handle.
    mutating func release(_ number: Int, generation: UInt32) -> Release {
        guard number < entries.count, entries[number].generation == generation, entries[number].leaseCount > 0
        else { return .nothing }
        entries[number].leaseCount -= 1
        guard entries[number].leaseCount == 0 else { return .nothing }
        let byteCount = entries[number].byteCount
        figures.leased.subtract(byteCount)
        guard !entries[number].flags.contains(.linked) else { return .unheld(number) }
        let extentNode = entries[number].extentNode
        figures.departing.subtract(byteCount)
        vacate(number)
        return .departed(extentNode: extentNode)
    }

    // MARK: Changing

    /// Says that another tier holds the block.
    mutating func markClean(_ number: Int) {
        guard entries[number].flags.contains(.dirty) else { return }
        entries[number].flags.remove(.dirty)
        figures.dirty.subtract(entries[number].byteCount)
    }

    /// Says that the block's payload was proved.
    mutating func markVerified(_ number: Int) {
        guard entries[number].flags.contains(.unverified) else { return }
        entries[number].flags.remove(.unverified)
        figures.unverified.subtract(entries[number].byteCount)
    }

    /// Says whether the block is a copy of what another node keeps.
    mutating func markNear(_ entry: Int, _ isNear: Bool) {
        if isNear { entries[entry].flags.insert(.near) } else { entries[entry].flags.remove(.near) }
    }

    /// Says that no other tier holds the block after all.
    mutating func markDirty(_ number: Int) {
        guard !entries[number].flags.contains(.dirty) else { return }
        entries[number].flags.insert(.dirty)
        figures.dirty.add(entries[number].byteCount)
    }

    /// Changes the attributes, and the pin's figures with them.
    mutating func change(_ number: Int, now: UInt64, _ change: (inout BlockAttributes) -> Void) {
        change(&entries[number].attributes)
        countPin(number, now: now)
    }

    /// Counts the block as pinned or not, by its pin's end.
    mutating func countPin(_ number: Int, now: UInt64) {
        let isPinned = entries[number].pinnedUntil > now
        guard entries[number].flags.contains(.pinned) != isPinned else { return }
        if isPinned {
            entries[number].flags.insert(.pinned)
            figures.pinned.add(entries[number].byteCount)
        } else {
            entries[number].flags.remove(.pinned)
            figures.pinned.subtract(entries[number].byteCount)
        }
    }

    /// Notes that the policy no longer proposes the block, or does again.
    mutating func setWithheld(_ number: Int, _ isWithheld: Bool) {
        if isWithheld {
            entries[number].flags.insert(.withheld)
        } else {
            entries[number].flags.remove(.withheld)
        }
    }
}
