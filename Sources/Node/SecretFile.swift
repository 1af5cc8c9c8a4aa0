internal import Blocks
internal import Glibc

/// The node's secret in its data directory: made once, readable by its owner only, never logged.
enum SecretFile {
    private static let name = "secret"

    /// Reads the secret of a data directory, or makes one. Creates the directory with mode 0700.
    static func open(in directory: String) throws(CacheError) -> NodeSecret {
        guard unsafe mkdir(directory, 0o700) == 0 || errno == EEXIST else {
            throw failure("mkdir", directory)
        }
        let path = "\(directory)/\(name)"
        if let bytes = try read(path) { return try NodeSecret(bytes: bytes) }
        let secret = NodeSecret.random()
        try write(secret.bytes, to: path, in: directory)
        return secret
    }

    private static func read(_ path: String) throws(CacheError) -> [UInt8]? {
        let descriptor = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            guard errno == ENOENT else { throw failure("open", path) }
            return nil
        }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: NodeSecret.byteCount + 1)
        let count = unsafe bytes.withUnsafeMutableBytes {
            unsafe Glibc.read(descriptor, $0.baseAddress, $0.count)
        }
        guard count == NodeSecret.byteCount else {
            throw CacheError(
                .storageFailure,
                "\(path) is not a node's secret; restore it, or remove it and lose the blocks on disk"
            )
        }
        return Array(bytes.prefix(count))
    }

    /// Writes the file whole or not at all, and durably.
    private static func write(_ bytes: [UInt8], to path: String, in directory: String) throws(CacheError) {
        let temporary = "\(path).new"
        let descriptor = unsafe Glibc.open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("open", temporary) }
        let written = unsafe bytes.withUnsafeBytes {
            unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
        }
        let isWhole = written == bytes.count && fsync(descriptor) == 0
        close(descriptor)
        guard isWhole, unsafe rename(temporary, path) == 0 else { throw failure("write", path) }
        let folder = unsafe Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw failure("open", directory) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw failure("fsync", directory) }
    }

    private static func failure(_ call: String, _ path: String) -> CacheError {
        let reason = unsafe String(cString: strerror(errno))
        return CacheError(.storageFailure, "\(call) \(path): \(reason)")
    }
}
