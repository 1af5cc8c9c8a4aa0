internal import Glibc

/// A file system of a few megabytes that can be filled: a tmpfs of its own.
public final class SmallFileSystem {
    /// Where it is.
    public let path: String
    private let owner: TemporaryDirectory
    private var fillers: [Int32] = []

    /// Whether this process may mount one.
    public static let isPermitted: Bool = {
        guard let probe = try? SmallFileSystem(megabytes: 1) else { return false }
        _ = probe
        return true
    }()

    /// Mounting a file system needs to be root.
    public struct NotPermitted: Error {}

    /// Mounts one.
    public init(megabytes: Int) throws {
        owner = try TemporaryDirectory()
        path = owner.path + "/small"
        guard unsafe mkdir(path, 0o700) == 0,
            unsafe "size=\(megabytes)m".withCString({ unsafe mount("tmpfs", path, "tmpfs", 0, $0) }) == 0
        else { throw NotPermitted() }
    }

    deinit {
        free()
        unsafe umount2(path, Int32(truncatingIfNeeded: MNT_DETACH))
    }

    /// Takes all space but `leaving` bytes, in whole pages.
    public func fill(leaving: Int = 0) {
        var status = statvfs()
        guard unsafe statvfs(path, &status) == 0 else { return }
        let pageCount = Int(status.f_bavail) - leaving / Int(status.f_bsize)
        let descriptor = unsafe open(path + "/filler", O_RDWR | O_CREAT, 0o600)
        fillers.append(descriptor)
        if pageCount > 0 { posix_fallocate(descriptor, 0, off_t(pageCount * Int(status.f_bsize))) }
    }

    /// Gives the space back.
    public func free() {
        unsafe unlink(path + "/filler")
        for descriptor in fillers { close(descriptor) }
        fillers = []
    }
}
