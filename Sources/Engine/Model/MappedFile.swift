#if canImport(Glibc)
    internal import Glibc
#endif

/// A file's bytes, mapped read-only.
///
/// The file must not shrink while it is mapped: reading a page that is gone ends the process.
@safe
final class MappedFile: @unchecked Sendable {
    private let bytes: UnsafeRawBufferPointer
    /// Bytes of the file when it was opened.
    var byteCount: Int { unsafe bytes.count }

    /// Maps a regular file; throws `.unreadableFile`.
    init(path: String) throws(EngineError) {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.failure("open", path) }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw Self.failure("look at", path) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw EngineError(.unreadableFile, "\(path) is not a regular file")
        }
        guard status.st_size > 0 else {
            unsafe bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        let address = unsafe mmap(nil, status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0)
        guard let address = unsafe address, unsafe address != MAP_FAILED else { throw Self.failure("map", path) }
        unsafe bytes = UnsafeRawBufferPointer(start: address, count: status.st_size)
    }

    deinit {
        if let address = unsafe bytes.baseAddress {
            unsafe munmap(UnsafeMutableRawPointer(mutating: address), bytes.count)
        }
    }

    /// The bytes, valid during the call.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        unsafe body(bytes)
    }

    private static func failure(_ verb: String, _ path: String) -> EngineError {
        // SAFETY: strerror returns a terminated string that lives until the thread's next call.
        EngineError(.unreadableFile, "cannot \(verb) \(path): \(unsafe String(cString: strerror(errno)))")
    }
}
