package import Blocks

/// Keeps one block's bytes in place and unchanged for as long as it lives, whatever becomes of the block.
@safe
package final class BlockLease: @unchecked Sendable {
    // Sendable: all is constant, and the bytes behind `payload` are not written while the lease lives.

    /// The block's residency.
    package let handle: BlockHandle
    /// Who and which.
    package let identity: BlockIdentity
    /// Tokens, times, pin and number format when the lease was taken.
    package let attributes: BlockAttributes
    /// XXH3 of the payload as given at commit; the lease does not verify it.
    package let payloadChecksum: UInt64
    /// The payload, 64-byte aligned, readable until the lease goes.
    package let payload: UnsafeRawBufferPointer

    /// Whether nobody has proved the payload since it was taken over from the run before.
    let isUnverified: Bool
    private let entryOffset: Int
    private let keyByteCount: Int
    private let shard: Shard

    /// Bytes of the payload.
    package var payloadByteCount: Int { unsafe payload.count }

    /// The client's key, copied.
    package var keyBytes: [UInt8] { shard.core.arena.key(atByteOffset: entryOffset, byteCount: keyByteCount) }

    /// Header and key as they are encoded before the payload.
    var head: UnsafeRawBufferPointer {
        unsafe shard.core.arena.head(atByteOffset: entryOffset, keyByteCount: keyByteCount)
    }

    /// Where the payload lies behind the arena's first byte.
    package var payloadOffset: Int { unsafe shard.core.arena.offset(of: payload.baseAddress) }

    /// Takes over one count of the entry's leases.
    @inline(__always)
    init(_ entry: BlockEntry, handle: BlockHandle, shard: Shard) {
        self.handle = handle
        self.shard = shard
        identity = entry.identity
        attributes = entry.attributes
        payloadChecksum = entry.payloadChecksum
        unsafe payload = shard.core.arena.payload(of: entry)
        isUnverified = entry.flags.contains(.unverified)
        entryOffset = entry.byteOffset
        keyByteCount = entry.keyByteCount
    }

    deinit { shard.release(handle) }
}
