internal import Blocks
internal import CPosix
internal import Glibc

/// Opens a node's memory file: the one that the run before left, if it can be gone on with, or a fresh one.
struct MemoryFileOpening {
    let configuration: MemoryFileConfiguration
    let layout: MemoryFileLayout
    let sharesWrites: Bool

    /// What came of it.
    enum Outcome {
        /// The file of the run before.
        case takenBack(MemoryFile)
        /// An empty one, and why what was there was removed, if anything was.
        case fresh(MemoryFile, discarded: String?)
        /// None, and what to do about it: the arena has to be memory without a file.
        case unavailable(String)
    }

    /// How long a process that used the file may take to end, milliseconds.
    private static let ownerWaitMilliseconds = 1_000
    /// How long clients of the run before may take to let go of its memory, milliseconds: they hear of its end at once.
    private static let readerWaitMilliseconds = 1_000

    /// Opens or makes the file; says durably that this run is the latest, whatever the outcome.
    ///
    /// Throws `.storageFailure` when another process uses the file.
    func open() throws(CacheError) -> Outcome {
        let run = RunMark.random()
        // After a crash of the host, a file on a disk has some of its pages and not others.
        guard unsafe larder_is_on_tmpfs(folder) == 1 else {
            _ = configuration.recordRun(run)
            return .unavailable(
                "\(folder) is not there or not in memory: mount a tmpfs on it, or name a --memory-file on one, or off"
            )
        }
        var discarded: String?
        switch try existing() {
        case .none: break
        case .foreign(let reason):
            _ = configuration.recordRun(run)
            return .unavailable(reason)
        case .found(let descriptor):
            switch try examine(descriptor) {
            case .failure(let obstacle) where obstacle.isForeign:
                close(descriptor)
                _ = configuration.recordRun(run)
                return .unavailable(obstacle.text)
            case .success(let header):
                guard let file = try takeBack(descriptor, header, run) else { return unrecorded }
                guard file.claimedByteCount > 0 || file.claim(byteCount: Arena.populateStepByteCount) != nil
                else {
                    unsafe _ = unlink(configuration.path)
                    return .unavailable("no room for \(configuration.path): \(Self.reason)")
                }
                return .takenBack(file)
            case .failure(let obstacle):
                // Those who still read it keep their bytes: the next file is another one.
                unsafe _ = unlink(configuration.path)
                close(descriptor)
                discarded = obstacle.text
            }
        }
        return try make(run, discarded: discarded)
    }

    /// Whether the file's name is one that nodes give.
    private var hasOwnName: Bool {
        configuration.path.split(separator: "/").last?.hasPrefix("larder-") == true
    }

    private var folder: String {
        guard let end = configuration.path.lastIndex(of: "/") else { return "." }
        return end == configuration.path.startIndex ? "/" : String(configuration.path[..<end])
    }

    /// Without a word on which run is the latest, nobody could tell later whether the file may be taken back.
    private var unrecorded: Outcome {
        .unavailable("\(configuration.owner) cannot be written")
    }

    // MARK: What is there

    private enum Existing {
        case none
        case found(Int32)
        case foreign(String)
    }

    /// Opens and locks what is there.
    private func existing() throws(CacheError) -> Existing {
        let path = configuration.path
        // Once more when the file was removed between opening and locking.
        for _ in 0..<16 {
            let descriptor = unsafe Glibc.open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
            guard descriptor >= 0 else {
                return errno == ENOENT ? .none : .foreign("\(path): \(Self.reason); remove it")
            }
            var status = stat()
            guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
                status.st_uid == geteuid(), status.st_mode & 0o077 == 0
            else {
                close(descriptor)
                return .foreign(
                    "\(path) is not a file of this user's alone; remove it, or name another --memory-file"
                )
            }
            guard lock(descriptor) else {
                close(descriptor)
                throw CacheError(
                    .storageFailure,
                    "\(path) is in use by another node; stop that one, or give this one a --data-dir or a "
                        + "--memory-file of its own"
                )
            }
            var named = stat()
            if unsafe lstat(path, &named) == 0, named.st_ino == status.st_ino, named.st_dev == status.st_dev {
                return .found(descriptor)
            }
            close(descriptor)
        }
        return .foreign("\(path) is being removed again and again")
    }

    /// Takes the file, waiting a moment for a process that is about to end: it gives its memory back before its locks.
    private func lock(_ descriptor: Int32) -> Bool {
        for _ in 0..<(Self.ownerWaitMilliseconds / 10) {
            if larder_lock_byte(descriptor, MemoryFile.ownerLockOffset, 1) == 0 { return true }
            usleep(10_000)
        }
        return larder_lock_byte(descriptor, MemoryFile.ownerLockOffset, 1) == 0
    }

    /// Why a file cannot be gone on with.
    private struct Obstacle: Error {
        let text: String
        /// Whether it may be something else than a memory file, which is not to be touched.
        var isForeign = false
    }

    private func examine(_ descriptor: Int32) throws(CacheError) -> Result<MemoryFileHeader, Obstacle> {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { return .failure(Obstacle(text: Self.reason)) }
        let fileByteCount = Int(status.st_size)
        let bytes = Self.headers(descriptor, fileByteCount: fileByteCount)
        let header: MemoryFileHeader
        do {
            header = try MemoryFileHeader.newest(in: bytes)
        } catch {
            switch error {
            case .damaged where !hasOwnName && !MemoryFileHeader.isMemoryFile(bytes):
                return .failure(
                    Obstacle(
                        text: "\(configuration.path) is no memory file, or a damaged one: remove it",
                        isForeign: true
                    )
                )
            case .damaged: return .failure(Obstacle(text: "its header is damaged, or it was cut"))
            case .version(let version):
                return .failure(Obstacle(text: "another version wrote it (format \(version))"))
            }
        }
        if let obstacle = header.obstacle(to: layout, fileByteCount: fileByteCount, configuration) {
            return .failure(Obstacle(text: obstacle))
        }
        guard waitForReaders(descriptor) else {
            return .failure(Obstacle(text: "clients of the run before still read it"))
        }
        return .success(header)
    }

    /// The headers at the end of a memory file; fewer bytes when it is too short to be one.
    static func headers(_ descriptor: Int32, fileByteCount: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: MemoryFileLayout.headersByteCount)
        guard fileByteCount >= bytes.count else { return [] }
        // SAFETY: pread fills at most the array's bytes.
        let count = unsafe pread(descriptor, &bytes, bytes.count, off_t(fileByteCount - bytes.count))
        return count == bytes.count ? bytes : []
    }

    private func waitForReaders(_ descriptor: Int32) -> Bool {
        for _ in 0..<(Self.readerWaitMilliseconds / 10) {
            if larder_byte_is_locked(descriptor, MemoryFile.readerLockOffset) == 0 { return true }
            usleep(10_000)
        }
        return larder_byte_is_locked(descriptor, MemoryFile.readerLockOffset) == 0
    }

    // MARK: Going on

    /// The header names both runs until the new one is recorded: a kill in between costs nothing.
    private func takeBack(
        _ descriptor: Int32,
        _ header: MemoryFileHeader,
        _ run: RunMark
    ) throws(CacheError) -> MemoryFile? {
        let latest = configuration.latestRun ?? .none
        let file = try MemoryFile(
            descriptor,
            header,
            layout: layout,
            sharesWrites: sharesWrites,
            configuration
        )
        file.updateHeader { header in
            header.run = latest
            header.nextRun = run
            header.owner =
                MemoryFileHeader(layout: layout, secretFingerprint: .zero, owner: configuration.owner).owner
        }
        guard configuration.recordRun(run) == nil else {
            unsafe _ = unlink(configuration.path)
            return nil
        }
        file.updateHeader { $0.run = run }
        var status = stat()
        if unsafe fstat(descriptor, &status) == 0 {
            file.restoreClaim(allocatedByteCount: Int(status.st_blocks) * 512)
        }
        return file
    }

    private func make(_ run: RunMark, discarded: String?) throws(CacheError) -> Outcome {
        let path = configuration.path
        guard configuration.recordRun(run) == nil else { return unrecorded }
        if let free = Self.freeByteCount(folder), free < layout.byteCount {
            return .unavailable(
                "\(folder) has \(free) bytes free and the arena takes \(layout.byteCount): enlarge it (mount -o "
                    + "remount,size=..., docker run --shm-size ...), lower --memory, or set --memory-file off"
            )
        }
        let descriptor = unsafe Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return .unavailable("cannot make \(path): \(Self.reason)") }
        func refuse(_ what: String) -> Outcome {
            let outcome = Outcome.unavailable("\(what) \(path): \(Self.reason)")
            unsafe _ = unlink(path)
            close(descriptor)
            return outcome
        }
        guard larder_lock_byte(descriptor, MemoryFile.ownerLockOffset, 1) == 0 else {
            return refuse("cannot lock")
        }
        guard ftruncate(descriptor, off_t(layout.byteCount)) == 0,
            Self.allocate(descriptor, at: layout.arenaByteCount, layout.byteCount - layout.arenaByteCount)
        else { return refuse("no room for") }
        let header = MemoryFileHeader(
            layout: layout,
            secretFingerprint: configuration.secretFingerprint,
            owner: configuration.owner
        )
        let file: MemoryFile
        do throws(CacheError) {
            file = try MemoryFile(
                descriptor,
                header,
                layout: layout,
                sharesWrites: sharesWrites,
                configuration
            )
        } catch {
            unsafe _ = unlink(path)
            throw error
        }
        guard file.claim(byteCount: Arena.populateStepByteCount) != nil else {
            unsafe _ = unlink(path)
            return .unavailable("no room for \(path): \(Self.reason)")
        }
        file.updateHeader { header in
            header.run = run
            header.nextRun = run
        }
        return .fresh(file, discarded: discarded)
    }

    /// Gives part of a file pages; false, with `errno`, when there is no room.
    static func allocate(_ descriptor: Int32, at offset: Int, _ byteCount: Int) -> Bool {
        while true {
            if larder_allocate(descriptor, Int64(offset), Int64(byteCount)) == 0 { return true }
            guard errno == EINTR else { return false }
        }
    }

    private static func freeByteCount(_ path: String) -> Int? {
        var status = statvfs()
        guard unsafe statvfs(path, &status) == 0 else { return nil }
        let (bytes, overflows) = Int(clamping: status.f_bavail).multipliedReportingOverflow(
            by: Int(clamping: status.f_frsize)
        )
        return overflows ? nil : bytes
    }

    private static var reason: String { unsafe String(cString: strerror(errno)) }
}
