import Foundation
import Glibc

/// A real redis-server on a Unix socket, when one is installed.
final class RedisServerProcess {
    let path: String
    private let process = Process()

    /// Where redis-server is, or `nil`.
    static let executable = tool("redis-server")

    /// Where a program is, or `nil`.
    static func tool(_ name: String) -> String? {
        ["/usr/bin/\(name)", "/usr/local/bin/\(name)"].first {
            FileManager.default.isExecutableFile(atPath: $0)
        }
    }

    init(executable: String, directory: String) throws {
        path = "\(directory)/redis.sock"
        process.executableURL = URL(filePath: executable)
        process.arguments = [
            "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir", directory,
        ]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        try process.run()
        for _ in 0..<200 where (try? WireClient(path: path)) == nil { Thread.sleep(forTimeInterval: 0.02) }
    }

    deinit {
        // Not waited for: Foundation waits by a run loop, which a test's thread need not have.
        kill(process.processIdentifier, SIGKILL)
    }
}
