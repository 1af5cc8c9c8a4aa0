internal import Foundation

/// A fresh directory that goes with its owner.
public final class TemporaryDirectory: Sendable {
    /// The directory's path.
    public let path: String

    /// Creates it under the system's temporary directory.
    public convenience init() throws {
        try self.init(in: FileManager.default.temporaryDirectory.path)
    }

    /// Creates it on the file system in memory that every Linux has.
    public static func inMemory() throws -> TemporaryDirectory { try TemporaryDirectory(in: "/dev/shm") }

    private init(in parent: String) throws {
        let url = URL(filePath: parent).appending(path: "larder-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
