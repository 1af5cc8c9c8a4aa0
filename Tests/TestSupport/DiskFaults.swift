internal import CDiskFaults
internal import Glibc

/// Lets calls of this process that change files below a directory fail, at chosen points.
public struct DiskFaults: Sendable {
    /// How calls fail.
    public enum Kind: CaseIterable, Sendable {
        /// The disk is full from that call on.
        case full
        /// That one call fails and changes nothing.
        case failing
        /// That one call does what it should and fails all the same.
        case lost
    }

    private let directory: String
    private let kind: Kind
    private let fileName: String

    /// Faults of files below `directory` whose names contain `fileName`.
    public init(_ kind: Kind, below directory: String, fileName: String = "") {
        self.kind = kind
        self.directory = directory
        self.fileName = fileName
    }

    /// Runs `body` while the call `number` (from 1) fails, and those after it where the disk is full.
    ///
    /// Gives how many calls failed. One at a time in the process.
    public func during(call number: Int, _ body: () throws -> Void) rethrows -> Int {
        start(call: number)
        defer { stop() }
        try body()
        return failureCount
    }

    /// Begins, until `stop`.
    public func start(call number: Int) {
        // SAFETY: both strings are copied by the call.
        unsafe larder_disk_faults_start(
            directory,
            fileName,
            number,
            kind == .full ? .max : number,
            kind == .full ? ENOSPC : EIO,
            kind == .lost ? 1 : 0
        )
    }

    /// Lets all calls through again.
    public func stop() { larder_disk_faults_stop() }

    /// Calls failed since the start.
    public var failureCount: Int { larder_disk_faults_count() }
}
