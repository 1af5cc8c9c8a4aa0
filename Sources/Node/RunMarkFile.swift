internal import Blocks
internal import Glibc
internal import MemoryTier

/// Which run of the node was the latest, in the node's directory: 16 bytes and their checksum.
///
/// Every run writes its own mark before it serves, so that the next one knows whether a memory file is as the latest run
/// left it.
struct RunMarkFile: Sendable {
    private static let name = "memory-run"
    private static let byteCount = 24

    private let path: String

    /// The file of a directory that is there.
    init(in directory: String) {
        path = "\(directory)/\(Self.name)"
    }

    /// What the file says; `nil` when there is none or it is damaged.
    var latest: RunMark? {
        let descriptor = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: Self.byteCount + 1)
        // SAFETY: read fills at most the array's bytes.
        let count = unsafe Glibc.read(descriptor, &bytes, bytes.count)
        guard count == Self.byteCount else { return nil }
        func word(_ offset: Int) -> UInt64 {
            (0..<8).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
        }
        guard word(16) == Self.checksum(Array(bytes.prefix(16))) else { return nil }
        return RunMark(words: SIMD2(word(0), word(8)))
    }

    /// Writes a mark in place and durably: a torn one is none, and no space is needed that the file does not have.
    func record(_ run: RunMark) throws(CacheError) {
        let descriptor = unsafe Glibc.open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw forgetting(Self.failure("open", path)) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        for word in [run.words.x, run.words.y] {
            bytes += (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * UInt64($0))) }
        }
        let checksum = Self.checksum(bytes)
        bytes += (0..<8).map { UInt8(truncatingIfNeeded: checksum >> (8 * UInt64($0))) }
        // SAFETY: pwrite reads exactly the array's bytes.
        guard unsafe pwrite(descriptor, bytes, bytes.count, 0) == bytes.count, fdatasync(descriptor) == 0
        else {
            throw forgetting(Self.failure("write", path))
        }
    }

    /// Makes no run the latest: whatever memory file there is, it is not taken back.
    func forget() throws(CacheError) {
        guard unsafe unlink(path) == 0 || errno == ENOENT else { throw Self.failure("unlink", path) }
    }

    /// No mark is as good as another one: what it must not be is that of an earlier run.
    private func forgetting(_ error: CacheError) -> CacheError {
        unsafe _ = unlink(path)
        return error
    }

    private static func checksum(_ bytes: [UInt8]) -> UInt64 {
        // SAFETY: the bytes are read during the call only.
        unsafe bytes.withUnsafeBytes { unsafe PayloadChecksum.of($0) }
    }

    private static func failure(_ call: String, _ path: String) -> CacheError {
        let reason = unsafe String(cString: strerror(errno))
        return CacheError(.storageFailure, "\(call) \(path): \(reason)")
    }
}
