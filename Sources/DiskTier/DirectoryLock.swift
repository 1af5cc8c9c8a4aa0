import Blocks
import Glibc

/// Keeps a second node out of a data directory; the kernel releases it when the process ends, however it
/// ends.
final class DirectoryLock: Sendable {
    private let descriptor: Int32

    init(path: String, directory: String) throws(CacheError) {
        descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw CacheError(.storageFailure, "cannot open \(path): \(SystemError())")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let owner = Self.owner(descriptor)
            throw CacheError(
                .storageFailure,
                "\(directory) is in use by another node\(owner.map { " (process \($0))" } ?? ""); "
                    + "stop that one, or give this one a data directory of its own"
            )
        }
        let text = Array("\(getpid())\n".utf8)
        // Only a hint for people: whether it can be written does not matter.
        // SAFETY: pwrite reads exactly the array's bytes.
        if ftruncate(descriptor, 0) == 0 { _ = unsafe pwrite(descriptor, text, text.count, 0) }
    }

    deinit { close(descriptor) }

    private static func owner(_ descriptor: Int32) -> Int? {
        var bytes = [UInt8](repeating: 0, count: 32)
        // SAFETY: pread fills at most the array's bytes.
        let count = unsafe pread(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return nil }
        return Int(String(decoding: bytes.prefix(count).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
    }
}
