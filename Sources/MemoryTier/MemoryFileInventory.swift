package import Blocks
internal import CPosix
internal import Glibc

/// The memory files that nodes of this user have left, or use.
package enum MemoryFileInventory {
    /// One file.
    package struct Item: Hashable, Sendable {
        /// The file.
        package let path: String
        /// Bytes of memory that it holds.
        package let byteCount: Int
        /// The directory of the node that it belongs to; `nil` when the file does not tell.
        package let owner: String?
        /// Whether a node uses it now.
        package let isInUse: Bool
    }

    /// The files in a directory whose names begin with `prefix`.
    package static func list(in directory: String, prefix: String) -> [Item] {
        guard let stream = unsafe opendir(directory) else { return [] }
        defer { unsafe closedir(stream) }
        var items: [Item] = []
        while let entry = unsafe readdir(stream) {
            // SAFETY: d_name is zero-terminated inside the entry, which is valid until the next readdir.
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe String(cString: UnsafeRawPointer(pointer).assumingMemoryBound(to: CChar.self))
            }
            if name.hasPrefix(prefix), let item = item(at: "\(directory)/\(name)") { items.append(item) }
        }
        return items.sorted { $0.path < $1.path }
    }

    /// The file at `path`; `nil` when there is none of this user's.
    package static func item(at path: String) -> Item? {
        let descriptor = unsafe open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return item(descriptor, path)
    }

    /// Removes files that no node uses and whose node's directory is gone; gives them.
    package static func removeOrphans(in directory: String, prefix: String) -> [Item] {
        list(in: directory, prefix: prefix).filter { item in
            guard !item.isInUse, let owner = item.owner, isGone(owner) else { return false }
            do throws(CacheError) {
                return try remove(item.path) != nil
            } catch {
                return false
            }
        }
    }

    /// Removes a memory file, which must not be in use; gives what it was, `nil` when there is none.
    ///
    /// Throws `.invalidArgument` for anything else than a memory file, and `.storageFailure` when it is in use or cannot
    /// be removed.
    package static func remove(_ path: String) throws(CacheError) -> Item? {
        let descriptor = unsafe open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw failure(path)
        }
        defer { close(descriptor) }
        guard let item = item(descriptor, path) else {
            throw CacheError(.invalidArgument, "\(path) is not a memory file of this user's")
        }
        guard larder_lock_byte(descriptor, MemoryFile.ownerLockOffset, 1) == 0 else {
            throw CacheError(.storageFailure, "\(path) is in use by a node; stop that one first")
        }
        guard unsafe unlink(path) == 0 else { throw failure(path) }
        return item
    }

    private static func item(_ descriptor: Int32, _ path: String) -> Item? {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            status.st_uid == geteuid()
        else { return nil }
        let bytes = MemoryFileOpening.headers(descriptor, fileByteCount: Int(status.st_size))
        let owner = (try? MemoryFileHeader.newest(in: bytes))?.owner ?? ""
        // One that was damaged or cut is known by its name alone.
        guard !owner.isEmpty || path.split(separator: "/").last?.hasPrefix("larder-") == true else {
            return nil
        }
        return Item(
            path: path,
            byteCount: Int(status.st_blocks) * 512,
            owner: owner.isEmpty ? nil : owner,
            isInUse: larder_byte_is_locked(descriptor, MemoryFile.ownerLockOffset) == 1
        )
    }

    private static func isGone(_ path: String) -> Bool {
        var status = stat()
        return unsafe lstat(path, &status) != 0 && (errno == ENOENT || errno == ENOTDIR)
    }

    private static func failure(_ path: String) -> CacheError {
        CacheError(.storageFailure, "\(path): \(unsafe String(cString: strerror(errno)))")
    }
}
