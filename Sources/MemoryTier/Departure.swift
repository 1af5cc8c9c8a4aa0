internal import Blocks

/// A block that was just unlinked: what remains to be done outside its shard's lock.
struct Departure {
    let identity: BlockIdentity
    let summary: BlockSummary
    let reason: RemovalReason
    /// Bytes of its extent.
    let byteCount: Int
    /// The allocator's record to free; `nil` while leases keep the bytes.
    let extentNode: UInt32?
}
