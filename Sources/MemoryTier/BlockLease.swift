package import Blocks

/// Keeps one block's bytes in place and unchanged for as long as it lives.
@safe
package final class BlockLease: @unchecked Sendable {
    /// The block's residency.
    package let handle: BlockHandle
    /// Who and which.
    package let identity: BlockIdentity
    /// Tokens, times, pin and number format at the time of the lease.
    package let attributes: BlockAttributes
    /// XXH3 of the payload, given at commit. Not verified by the lease.
    package let payloadChecksum: UInt64
    /// The payload, readable until the lease goes.
    package let payload: UnsafeRawBufferPointer

    /// The client's key, copied.
    package var keyBytes: [UInt8] { [] }

    init(
        handle: BlockHandle,
        identity: BlockIdentity,
        attributes: BlockAttributes,
        payloadChecksum: UInt64,
        payload: UnsafeRawBufferPointer
    ) {
        self.handle = handle
        self.identity = identity
        self.attributes = attributes
        self.payloadChecksum = payloadChecksum
        unsafe self.payload = unsafe payload
    }
}
