package import Blocks
internal import Glibc

/// Files that only the node's own user may read, in a directory that others may be able to write.
package enum PrivateFile {
    /// Writes a file whole or not at all, durably, with mode 0600. Follows no symbolic link: a name that somebody else has
    /// put there is removed, not written to.
    package static func write(_ bytes: [UInt8], to path: String) throws(CacheError) {
        let temporary = "\(path).new"
        guard unsafe unlink(temporary) == 0 || errno == ENOENT else { throw failure("unlink", temporary) }
        let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("open", temporary) }
        // Whatever the process's mask is.
        var isWhole = fchmod(descriptor, 0o600) == 0
        var written = 0
        while isWhole, written < bytes.count {
            // SAFETY: the range lies inside the array's bytes.
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress?.advanced(by: written), bytes.count - written)
            }
            if count > 0 { written += count } else { isWhole = count < 0 && errno == EINTR }
        }
        isWhole = isWhole && fsync(descriptor) == 0
        close(descriptor)
        guard isWhole, unsafe rename(temporary, path) == 0 else { throw failure("write", path) }
        let directory =
            path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let folder = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw failure("open", directory) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw failure("fsync", directory) }
    }

    /// What an operator must know of who can read a file; `nil` when only its owner can, or when there is no such file.
    package static func warning(_ what: String, _ path: String) -> String? {
        var status = stat()
        guard unsafe stat(path, &status) == 0, status.st_mode & 0o077 != 0 else { return nil }
        return "\(what) \(path) can be read or written by other users of this machine (mode "
            + "\(String(status.st_mode & 0o777, radix: 8))): chmod 600 it"
    }

    /// What an operator must know of who owns and can write a directory; `nil` when only this user or root can.
    package static func warning(directory: String) -> String? {
        var status = stat()
        guard unsafe stat(directory, &status) == 0 else { return nil }
        if status.st_uid != geteuid(), status.st_uid != 0 {
            return
                "--data-dir \(directory) belongs to user \(status.st_uid), who can replace what is in it, and this node "
                + "runs as user \(geteuid()): chown it, or choose another directory"
        }
        guard status.st_mode & 0o022 != 0 else { return nil }
        return "--data-dir \(directory) can be written by other users of this machine (mode "
            + "\(String(status.st_mode & 0o777, radix: 8))), who can replace what is in it: chmod 700 it, or choose another "
            + "directory"
    }

    private static func failure(_ call: String, _ path: String) -> CacheError {
        let reason = unsafe String(cString: strerror(errno))
        return CacheError(.storageFailure, "\(call) \(path): \(reason)")
    }
}
