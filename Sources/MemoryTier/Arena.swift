package import Blocks
internal import CPosix
internal import Glibc

/// The shared memory that holds the blocks: one mapping of a memfd, or of a file that the next run of the node takes up;
/// unmapped when its last owner goes.
@safe
package final class Arena: @unchecked Sendable {
    // Sendable: base address, length and descriptor never change; who may touch which bytes is the extents' matter.

    /// The first byte; aligned to a page.
    package let baseAddress: UnsafeMutableRawPointer
    /// Bytes that hold blocks.
    package let byteCount: Int
    /// The memfd or file, owned by the arena. A memfd is sealed, so it can be handed to another process as it is.
    package let descriptor: Int32
    /// Whether the memory is a file's.
    package let isFile: Bool
    /// Bytes of the mapping; what is behind the arena is the file's own.
    private let mappedByteCount: Int
    /// Whether other processes may map it writable.
    package let sharesWrites: Bool

    /// Bytes that one step of `populate` claims: long enough to be fast, short enough to stop soon.
    package static let populateStepByteCount = 32 << 20

    /// Maps `byteCount` bytes of fresh zeroed memory; `.storageFailure` when the system refuses.
    ///
    /// Unless it `sharesWrites`, the kernel lets no other process map it writable from then on.
    package convenience init(byteCount: Int, sharesWrites: Bool = false) throws(CacheError) {
        let descriptor = unsafe larder_memfd_create("larder-arena", byteCount)
        guard descriptor >= 0 else { throw Self.refusal("memfd_create", byteCount) }
        let address = unsafe try Self.map(descriptor, byteCount)
        guard larder_memfd_seal(descriptor, sharesWrites ? 1 : 0) == 0 else {
            let error = Self.refusal("sealing", byteCount)
            unsafe _ = munmap(address, byteCount)
            close(descriptor)
            throw error
        }
        unsafe self.init(
            adopting: descriptor,
            at: address,
            byteCount: byteCount,
            mappedByteCount: byteCount,
            sharesWrites: sharesWrites,
            isFile: false
        )
    }

    /// Maps a file of `fileByteCount` bytes that begins with an arena of `byteCount`; owns the descriptor from then on,
    /// also when this throws.
    convenience init(
        file descriptor: Int32,
        byteCount: Int,
        fileByteCount: Int,
        sharesWrites: Bool
    ) throws(CacheError) {
        let address = unsafe try Self.map(descriptor, fileByteCount)
        unsafe self.init(
            adopting: descriptor,
            at: address,
            byteCount: byteCount,
            mappedByteCount: fileByteCount,
            sharesWrites: sharesWrites,
            isFile: true
        )
    }

    private init(
        adopting descriptor: Int32,
        at address: UnsafeMutableRawPointer,
        byteCount: Int,
        mappedByteCount: Int,
        sharesWrites: Bool,
        isFile: Bool
    ) {
        // Only advice: kernels without huge pages for shared memory refuse it, and nothing is lost.
        unsafe _ = madvise(address, byteCount, MADV_HUGEPAGE)
        unsafe self.baseAddress = unsafe address
        self.byteCount = byteCount
        self.mappedByteCount = mappedByteCount
        self.descriptor = descriptor
        self.sharesWrites = sharesWrites
        self.isFile = isFile
    }

    private static func map(
        _ descriptor: Int32,
        _ byteCount: Int
    ) throws(CacheError) -> UnsafeMutableRawPointer {
        // SAFETY: the kernel chooses the address; the result is checked against MAP_FAILED before use.
        let address = unsafe mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        guard let address = unsafe address, unsafe address != UnsafeMutableRawPointer(bitPattern: -1) else {
            let error = Self.refusal("mmap", byteCount)
            close(descriptor)
            throw error
        }
        return unsafe address
    }

    /// A descriptor of the same memory for another process: one that maps it readable, or writable too where the arena
    /// `sharesWrites`. The caller closes it.
    ///
    /// A file cannot be sealed. Its descriptors carry a lock instead that lasts as long as anything made of them: by that
    /// the next run knows that somebody still reads.
    package func openForSharing(writable: Bool) throws(CacheError) -> Int32 {
        let flags = (writable && sharesWrites ? O_RDWR : O_RDONLY) | O_CLOEXEC
        let shared = unsafe open("/proc/self/fd/\(descriptor)", flags)
        guard shared >= 0 else { throw Self.refusal("opening", byteCount) }
        guard !isFile || larder_lock_byte(shared, MemoryFile.readerLockOffset, 0) == 0 else {
            let error = Self.refusal("locking", byteCount)
            close(shared)
            throw error
        }
        return shared
    }

    /// How far an address of the arena lies behind its first byte.
    func offset(of address: UnsafeRawPointer?) -> Int {
        unsafe address.map { unsafe UnsafeRawPointer(baseAddress).distance(to: $0) } ?? 0
    }

    deinit {
        // SAFETY: leases and reservations own the arena, so nobody holds an address any more.
        unsafe _ = munmap(baseAddress, mappedByteCount)
        close(descriptor)
    }

    /// Claims the pages of one step from `offset` on without changing their content.
    ///
    /// Returns the offset after the step, or `nil` when the kernel cannot (before Linux 5.14) or has no memory.
    func populate(from offset: Int) -> Int? {
        let count = min(Self.populateStepByteCount, byteCount - offset)
        guard count > 0 else { return nil }
        while true {
            // SAFETY: the range lies inside the mapping; the call never changes what is stored there.
            if unsafe larder_populate_write(baseAddress + offset, count) == 0 { return offset + count }
            guard errno == EINTR || errno == EAGAIN else { return nil }
        }
    }

    static func refusal(_ call: String, _ byteCount: Int) -> CacheError {
        let reason = unsafe String(cString: strerror(errno))
        return CacheError(
            .storageFailure,
            "\(call) of \(byteCount) bytes for the arena: \(reason); lower --memory"
        )
    }
}
