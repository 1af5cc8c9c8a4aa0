internal import Blocks
internal import Glibc
internal import Tiering

/// The node's secret in its data directory: made once, readable by its owner only, never logged.
///
/// The file is the secret and its checksum, so that a damaged one is known as such: another secret finds none of the
/// blocks that are on disk.
struct SecretFile {
    /// The secret to use.
    let secret: NodeSecret
    /// Where a damaged file was moved when there was one; the secret is a new one then.
    let setAsidePath: String?
    /// What an operator must know of who else can reach the directory and the file.
    let warnings: [String]

    private static let name = "secret"

    /// Reads the secret of a data directory, or makes one. Creates the directory with mode 0700. Throws when the file is a
    /// symbolic link.
    init(in directory: String) throws(CacheError) {
        guard unsafe mkdir(directory, 0o700) == 0 || errno == EEXIST else {
            throw Self.failure("mkdir", directory)
        }
        let path = "\(directory)/\(Self.name)"
        warnings = [
            PrivateFile.warning(directory: directory), PrivateFile.warning("the node's secret", path),
        ]
        .compactMap(\.self)
        var setAsidePath: String?
        if let bytes = try Self.read(path) {
            if let secret = Self.decode(bytes) {
                self.secret = secret
                self.setAsidePath = nil
                return
            }
            let aside = "\(path)-damaged"
            guard unsafe rename(path, aside) == 0 else { throw Self.failure("rename", path) }
            setAsidePath = aside
        }
        secret = NodeSecret.random()
        self.setAsidePath = setAsidePath
        try PrivateFile.write(secret.bytes + Self.checksum(secret.bytes), to: path)
    }

    private static func decode(_ bytes: [UInt8]) -> NodeSecret? {
        let secret = Array(bytes.prefix(NodeSecret.byteCount))
        guard bytes == secret + checksum(secret) else { return nil }
        return try? NodeSecret(bytes: secret)
    }

    /// Eight bytes, the lowest first.
    private static func checksum(_ bytes: [UInt8]) -> [UInt8] {
        // SAFETY: the bytes are read during the call only.
        let value = unsafe bytes.withUnsafeBytes { unsafe PayloadChecksum.of($0) }
        return (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
    }

    /// The file's bytes, or those of its beginning when it is longer than a secret's; `nil` when there is none.
    private static func read(_ path: String) throws(CacheError) -> [UInt8]? {
        let descriptor = unsafe Glibc.open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            if errno == ELOOP {
                throw CacheError(
                    .storageFailure,
                    "\(path) is a symbolic link: put the node's secret itself there, or remove the link for a new secret"
                )
            }
            guard errno == ENOENT else { throw failure("open", path) }
            return nil
        }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: NodeSecret.byteCount + 9)
        let count = unsafe bytes.withUnsafeMutableBytes {
            unsafe Glibc.read(descriptor, $0.baseAddress, $0.count)
        }
        guard count >= 0 else { throw failure("read", path) }
        return Array(bytes.prefix(count))
    }

    private static func failure(_ call: String, _ path: String) -> CacheError {
        let reason = unsafe String(cString: strerror(errno))
        return CacheError(.storageFailure, "\(call) \(path): \(reason)")
    }
}
