#if canImport(Glibc)
    internal import Glibc
#endif

/// Wakes a thread that waits in `poll`.
final class WakePipe: Sendable {
    let readEnd: Int32
    private let writeEnd: Int32

    /// `nil` when the process has no descriptors left.
    init?() {
        var ends: [Int32] = [-1, -1]
        // SAFETY: socketpair writes two descriptors into the array.
        let type = SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue
        guard unsafe socketpair(AF_UNIX, Int32(type), 0, &ends) == 0 else { return nil }
        readEnd = ends[0]
        writeEnd = ends[1]
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    /// Makes the read end readable.
    ///
    /// A full pipe is as good.
    func wake() {
        var byte: UInt8 = 1
        // SAFETY: one byte is read from the variable.
        _ = unsafe write(writeEnd, &byte, 1)
    }

    /// Takes back all wakes.
    func drain() {
        // SAFETY: at most 64 bytes are written to a buffer of 64.
        unsafe withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { buffer in
            while unsafe read(readEnd, buffer.baseAddress, buffer.count) == buffer.count {}
        }
    }
}
