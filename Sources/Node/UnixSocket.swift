internal import Blocks
internal import Glibc

/// A listening Unix socket that only its owner may open.
enum UnixSocket {
    /// Longest path, bytes.
    static let pathByteCountMax = 107

    /// Connections that may wait to be accepted.
    private static let backlog: Int32 = 1024

    /// Binds and listens at `path`, mode 0600 from the first moment on; returns the descriptor.
    ///
    /// A socket that nobody listens on any more is replaced; anything else at the path is left alone and refused.
    static func listen(at path: String) throws(CacheError) -> CInt {
        guard (1...pathByteCountMax).contains(path.utf8.count) else {
            throw CacheError(
                .invalidArgument,
                "a Unix socket's path has 1 to \(pathByteCountMax) bytes: \(path)"
            )
        }
        try removeStale(path)
        let descriptor = try open()
        // On Linux the socket's own mode becomes the file's: no moment at which others could connect.
        guard fchmod(descriptor, 0o600) == 0, unsafe call(path, { unsafe bind(descriptor, $0, $1) }) == 0,
            Glibc.listen(descriptor, backlog) == 0
        else {
            let error = failure("bind", path)
            close(descriptor)
            throw error
        }
        return descriptor
    }

    /// Removes the socket's file.
    static func remove(_ path: String) {
        unsafe _ = unlink(path)
    }

    private static func removeStale(_ path: String) throws(CacheError) {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw CacheError(
                .invalidArgument,
                "\(path) exists and is not a socket; remove it, or choose another --unix"
            )
        }
        let probe = try open()
        defer { close(probe) }
        guard unsafe call(path, { unsafe connect(probe, $0, $1) }) != 0 else {
            throw CacheError(
                .tierUnavailable,
                "another process listens on \(path): stop it, or choose another --unix"
            )
        }
        guard errno == ECONNREFUSED, unsafe unlink(path) == 0 else { throw failure("connect", path) }
    }

    private static func open() throws(CacheError) -> CInt {
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw failure("socket", "") }
        return descriptor
    }

    /// Calls `body` with the address of a path of at most 107 bytes.
    private static func call(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8.prefix(pathByteCountMax))
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        return unsafe withUnsafePointer(to: &address) { pointer in
            // SAFETY: a sockaddr_un is passed as the sockaddr that it begins with, and with its own length.
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    private static func failure(_ call: String, _ path: String) -> CacheError {
        let reason = unsafe String(cString: strerror(errno))
        return CacheError(.storageFailure, "\(call) \(path): \(reason)")
    }
}
