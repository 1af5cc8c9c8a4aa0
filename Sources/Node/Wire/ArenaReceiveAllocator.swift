internal import Glibc
@_spi(CustomByteBufferAllocator) internal import NIOCore

/// Gives NIO the memory that the next read(2) fills: the rest of a payload's place in the arena, or a plain buffer.
///
/// This file and `ByteBuffer+Lease.swift` are the only users of NIO's custom allocator SPI, which is why the package
/// pins NIO's version. What they rely on, read in NIO's source:
/// - the channel asks `buffer(allocator:)` right before each read on its event loop, and hands the buffer to the
///   pipeline before it reads again;
/// - with `maxMessagesPerRead` 1, `nextBufferSize()` nil and `record` true its pool keeps the first buffer it was
///   given, which is a small plain one, and never reuses any: a finished payload's memory is not written again;
/// - a buffer made by `takingOwnershipOf` is written in place while nobody else holds it. Should NIO ever copy, the
///   handler sees another base address and copies the bytes itself.
///
/// Confined to the connection's event loop, as is the handler that shares it.
@safe
final class ArenaReceiveAllocator: RecvByteBufferAllocator, @unchecked Sendable {
    /// Where the rest of the payload under way belongs; empty outside payloads.
    var sink = unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private let pool: ReceiveBufferPool
    private var isFirst = true

    /// Bytes of the buffer that NIO's pool keeps for the connection's life.
    private static let firstByteCount = 1024
    /// Longest single read into the arena, bytes: a bound on how long one connection keeps its loop.
    private static let readByteCountMax = 4 << 20

    init(pool: ReceiveBufferPool) {
        self.pool = pool
    }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        if isFirst {
            isFirst = false
            return allocator.buffer(capacity: Self.firstByteCount)
        }
        guard unsafe sink.baseAddress != nil, unsafe sink.count > 0 else { return pool.take() }
        let part = unsafe UnsafeMutableRawBufferPointer(
            rebasing: sink[..<min(sink.count, Self.readByteCountMax)]
        )
        // SAFETY: the reservation that owns the memory outlives the read: both are ended on this event loop only.
        return unsafe ByteBuffer(
            takingOwnershipOf: part,
            allocator: ArenaMemory.allocator,
            readerIndex: 0,
            writerIndex: 0
        )
    }

    /// Whether `buffer` is the one that `buffer(allocator:)` made over the sink.
    func isInPlace(_ buffer: ByteBuffer) -> Bool {
        guard let expected = unsafe sink.baseAddress else { return false }
        return unsafe buffer.withUnsafeReadableBytes { unsafe $0.baseAddress == UnsafeRawPointer(expected) }
    }

    func nextBufferSize() -> Int? { nil }

    func record(actualReadBytes: Int) -> Bool { true }
}

/// The allocator of buffers over memory that somebody else owns: it never frees.
enum ArenaMemory {
    /// Frees nothing. Its `allocate` only runs when NIO copies such a buffer, which our pipeline never makes it do.
    static let allocator = unsafe ByteBufferAllocator(
        allocate: { unsafe malloc($0) },
        reallocate: { old, oldByteCount, newByteCount in
            let new = unsafe malloc(newByteCount)
            if let new = unsafe new, let old = unsafe old {
                unsafe memcpy(new, old, min(oldByteCount, newByteCount))
            }
            return unsafe new
        },
        deallocate: { _ in },
        copy: { unsafe $0.copyMemory(from: $1, byteCount: $2) }
    )
}
