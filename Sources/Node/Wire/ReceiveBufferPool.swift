internal import NIOCore

/// The plain receive buffers of one event loop: idle connections hold none.
///
/// Confined to its event loop.
final class ReceiveBufferPool {
    private var free: [ByteBuffer] = []

    /// Bytes of a buffer: the most that one read of anything but a payload takes.
    static let bufferByteCount = 64 << 10
    /// Most buffers kept for reuse.
    private static let freeCountMax = 4

    /// An empty buffer.
    func take() -> ByteBuffer {
        guard var buffer = free.popLast() else {
            return ByteBufferAllocator().buffer(capacity: Self.bufferByteCount)
        }
        buffer.clear()
        return buffer
    }

    /// Takes a buffer back whose bytes are no longer needed.
    func giveBack(_ buffer: ByteBuffer) {
        guard free.count < Self.freeCountMax, buffer.capacity == Self.bufferByteCount else { return }
        free.append(buffer)
    }
}
