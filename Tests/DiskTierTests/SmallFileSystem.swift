import Glibc
import TestSupport

/// A file system of a few megabytes that can be filled: a tmpfs of its own.
final class SmallFileSystem {
    let path: String
    private let owner: TemporaryDirectory
    private var fillers: [Int32] = []

    /// Whether this process may mount one.
    static let isPermitted: Bool = {
        guard let probe = try? SmallFileSystem(megabytes: 1) else { return false }
        _ = probe
        return true
    }()

    struct NotPermitted: Error {}

    init(megabytes: Int) throws {
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

    /// Takes all space but about `leaving` bytes.
    func fill(leaving: Int = 0) {
        let descriptor = unsafe open(path + "/filler", O_RDWR | O_CREAT | O_APPEND, 0o600)
        fillers.append(descriptor)
        let page = [UInt8](repeating: 1, count: 4_096)
        // SAFETY: write reads exactly the array's bytes.
        while unsafe write(descriptor, page, page.count) > 0 {}
        var status = stat()
        unsafe fstat(descriptor, &status)
        if leaving > 0 { ftruncate(descriptor, max(0, status.st_size - off_t(leaving))) }
    }

    /// Gives the space back.
    func free() {
        unsafe unlink(path + "/filler")
        for descriptor in fillers { close(descriptor) }
        fillers = []
    }
}
