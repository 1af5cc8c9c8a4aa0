/// What became of a reservation.
package enum CommitOutcome: Hashable, Sendable {
    /// The block is visible.
    case stored(BlockHandle)
    /// The same bytes were there already; the reservation's space is free again.
    case exists(BlockHandle)
    /// The key is held with other bytes; the reservation's space is free again.
    case conflict
}
