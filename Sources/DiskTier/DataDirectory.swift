import Blocks
import CPosix
import Glibc

/// The files of a tier: `blocks` (the database and the tables being written), `durable-mark`, `LOCK`, and at
/// most one `set-aside-<seconds since 1970>`: a database that could not be opened.
struct DataDirectory {
    /// What `blocks/FORMAT` says of a database that this code can read.
    private static let format = "larder blocks 1\n"
    private static let setAsidePrefix = "set-aside-"

    let path: String
    var blocksPath: String { path + "/blocks" }
    var markPath: String { path + "/durable-mark" }
    var lockPath: String { path + "/LOCK" }

    /// Makes the directory and those above it.
    init(creating path: String) throws(CacheError) {
        self.path = path
        try Self.makeDirectories(path)
    }

    /// Whether there is a database.
    enum BlocksState {
        case empty
        case present
        /// Something that this code must not touch, and why.
        case foreign(String)
    }

    /// Looks at `blocks`, and makes it when it is not there.
    func prepareBlocks() throws(CacheError) -> BlocksState {
        try Self.makeDirectories(blocksPath)
        let names = Self.names(in: blocksPath).filter { !$0.hasSuffix(".tmp") }
        if names.isEmpty {
            try Self.write(Self.format, to: formatPath)
            try Self.sync(blocksPath)
            try Self.sync(path)
            return .empty
        }
        guard Self.read(formatPath) == Self.format else {
            return .foreign("it was written by another version, or not by this program")
        }
        if names == ["FORMAT"] { return .empty }
        guard names.contains("CURRENT") else { return .foreign("its file CURRENT is missing") }
        return .present
    }

    /// Removes what a crash left of unfinished units.
    func removeLeftovers() {
        for name in Self.names(in: blocksPath) where name.hasSuffix(".tmp") {
            unsafe unlink(blocksPath + "/" + name)
        }
    }

    /// Moves `blocks` out of the way; an older one set aside goes, so that they cannot fill the disk.
    ///
    /// Gives its path.
    func setBlocksAside(unixSeconds: UInt64) throws(CacheError) -> String {
        removeSetAside()
        let target = path + "/" + Self.setAsidePrefix + String(unixSeconds)
        guard unsafe rename(blocksPath, target) == 0 else {
            throw CacheError(.storageFailure, "cannot move \(blocksPath) to \(target): \(SystemError())")
        }
        try Self.sync(path)
        return target
    }

    /// Deletes whatever is set aside.
    func removeSetAside() {
        for name in Self.names(in: path) where name.hasPrefix(Self.setAsidePrefix) {
            Self.removeTree(path + "/" + name)
        }
    }

    /// Bytes set aside.
    var setAsideByteCount: Int {
        Self.names(in: path).filter { $0.hasPrefix(Self.setAsidePrefix) }
            .reduce(0) { $0 + Self.byteCount(of: path + "/" + $1) }
    }

    /// Bytes of all files below the directory.
    var byteCount: Int { Self.byteCount(of: path) }

    /// Whether the file system lets reads bypass the page cache.
    var acceptsDirectReads: Bool {
        let probe = blocksPath + "/direct.tmp"
        let descriptor = unsafe open(probe, O_RDWR | O_CREAT | O_CLOEXEC | larder_open_flag_direct(), 0o600)
        guard descriptor >= 0 else { return false }
        close(descriptor)
        unsafe unlink(probe)
        return true
    }

    /// Writes, syncs and removes a file of a megabyte: whether the disk takes anything again.
    func probeWriting() throws(CacheError) {
        let probe = blocksPath + "/probe.tmp"
        defer { unsafe unlink(probe) }
        try Self.write(String(repeating: "larder.\n", count: 128 << 10), to: probe)
    }

    private var formatPath: String { blocksPath + "/FORMAT" }

    // MARK: Files

    /// Makes a rename or a new file in `path` durable.
    static func sync(_ path: String) throws(CacheError) {
        let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw CacheError(.storageFailure, "cannot open \(path): \(SystemError())")
        }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else {
            throw CacheError(.storageFailure, "cannot sync \(path): \(SystemError())")
        }
    }

    private static func makeDirectories(_ path: String) throws(CacheError) {
        var prefix = path.hasPrefix("/") ? "" : "."
        for component in path.split(separator: "/") {
            prefix += "/" + component
            guard unsafe mkdir(prefix, 0o700) == 0 || errno == EEXIST else {
                throw CacheError(.storageFailure, "cannot make the directory \(prefix): \(SystemError())")
            }
        }
    }

    private static func write(_ text: String, to path: String) throws(CacheError) {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw CacheError(.storageFailure, "cannot make \(path): \(SystemError())")
        }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        // SAFETY: write reads exactly the array's bytes.
        guard unsafe Glibc.write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0 else {
            throw CacheError(.storageFailure, "cannot write \(path): \(SystemError())")
        }
    }

    private static func read(_ path: String) -> String? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 64)
        // SAFETY: read fills at most the array's bytes.
        let count = unsafe Glibc.read(descriptor, &bytes, bytes.count)
        return count < 0 ? nil : String(decoding: bytes.prefix(count), as: UTF8.self)
    }

    private static func names(in path: String) -> [String] {
        guard let stream = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            // SAFETY: d_name is zero-terminated inside the entry, which is valid until the next readdir.
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe String(cString: UnsafeRawPointer(pointer).assumingMemoryBound(to: CChar.self))
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    private static func byteCount(of path: String) -> Int {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return 0 }
        guard status.st_mode & S_IFMT == S_IFDIR else { return Int(status.st_size) }
        return names(in: path).reduce(0) { $0 + byteCount(of: path + "/" + $1) }
    }

    private static func removeTree(_ path: String) {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            unsafe unlink(path)
            return
        }
        for name in names(in: path) { removeTree(path + "/" + name) }
        unsafe rmdir(path)
    }
}
