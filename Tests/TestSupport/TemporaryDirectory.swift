internal import Foundation

/// A fresh directory that goes with its owner.
public final class TemporaryDirectory: Sendable {
    /// The directory's path.
    public let path: String

    /// Creates it under the system's temporary directory.
    public init() throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "larder-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
