/// What one shard counts; every change of an entry is matched by one here, under the same lock.
struct ShardFigures {
    /// Visible blocks.
    var linked = Tally()
    /// Payload bytes of visible blocks.
    var payloadByteCount = 0
    /// Visible blocks that no other tier holds.
    var dirty = Tally()
    /// Visible blocks under a pin.
    var pinned = Tally()
    /// Visible blocks whose payload was not proved since they were taken over.
    var unverified = Tally()
    /// Visible blocks whose payload is coded.
    var packed = Tally()
    /// Payload bytes of those, before coding.
    var packedPayloadByteCount = 0
    /// Blocks under a lease, removed ones included.
    var leased = Tally()
    /// Removed blocks under a lease.
    var departing = Tally()
    /// Blocks ever stored.
    var storedBlockTotal: UInt64 = 0
    /// Blocks ever removed, by reason.
    var removed = [Tally](repeating: Tally(), count: RemovalReason.allCases.count)

    static func += (left: inout ShardFigures, right: ShardFigures) {
        left.linked += right.linked
        left.payloadByteCount += right.payloadByteCount
        left.dirty += right.dirty
        left.pinned += right.pinned
        left.unverified += right.unverified
        left.packed += right.packed
        left.packedPayloadByteCount += right.packedPayloadByteCount
        left.leased += right.leased
        left.departing += right.departing
        left.storedBlockTotal += right.storedBlockTotal
        for reason in left.removed.indices { left.removed[reason] += right.removed[reason] }
    }
}
