#if canImport(Glibc)
    internal import Glibc
#endif

/// Memory for payloads, in huge pages where the kernel gives them: a node's own memory is, and what is compared is
/// servers, not pages.
enum BenchMemory {
    private static let hugePageByteCount = 2 << 20
    private static let pageByteCount = 4 << 10

    /// Memory with every page touched; the caller deallocates it.
    static func allocate(byteCount: Int) -> UnsafeMutableRawBufferPointer {
        let isLarge = byteCount >= hugePageByteCount
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(1, byteCount),
            alignment: isLarge ? hugePageByteCount : pageByteCount
        )
        // SAFETY: advice on memory of our own; only whole pages of it are named.
        if isLarge {
            _ = unsafe madvise(memory.baseAddress, byteCount / pageByteCount * pageByteCount, MADV_HUGEPAGE)
        }
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
        return unsafe memory
    }
}
