internal import MemoryTier
@_spi(CustomByteBufferAllocator) internal import NIOCore

extension ByteBuffer {
    /// A view of part of a leased payload, without a copy.
    ///
    /// The caller keeps `lease` alive until the write of this buffer has ended: the buffer does not.
    init?(viewing lease: BlockLease, _ range: Range<Int>) {
        guard range.lowerBound >= 0, range.upperBound <= lease.payloadByteCount, !range.isEmpty else {
            return nil
        }
        // SAFETY: the memory is only read: NIO's pending writes never change a buffer that they hold, and the lease
        // keeps the bytes in place and unchanged.
        let bytes = unsafe UnsafeMutableRawBufferPointer(
            mutating: UnsafeRawBufferPointer(rebasing: lease.payload[range])
        )
        guard unsafe bytes.baseAddress != nil else { return nil }
        self = unsafe ByteBuffer(takingOwnershipOf: bytes, allocator: ArenaMemory.allocator)
    }
}
