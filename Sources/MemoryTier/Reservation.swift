package import Blocks

/// Space in the arena for one block that is being received; given back on its own unless it is committed.
///
/// Owned by one party at a time, who writes all of `payload` and then commits.
@safe
package final class Reservation: @unchecked Sendable {
    /// Which block it will be.
    package let identity: BlockIdentity
    /// Where the payload goes; as long as it was reserved, aligned to 64 bytes. Old bytes of other blocks are in it.
    package let payload: UnsafeMutableRawBufferPointer
    /// Bytes of the payload.
    package let payloadByteCount: Int

    init(identity: BlockIdentity, payload: UnsafeMutableRawBufferPointer) {
        self.identity = identity
        unsafe self.payload = unsafe payload
        payloadByteCount = payload.count
    }
}
