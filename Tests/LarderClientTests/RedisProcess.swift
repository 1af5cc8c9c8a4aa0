import Foundation
import LarderClient
import TestSupport

/// A redis-server of the test's own on a Unix socket; ends with its owner.
final class RedisProcess {
    let endpoint: LarderEndpoint
    private let process = Process()
    private let directory: TemporaryDirectory

    static let isInstalled = FileManager.default.isExecutableFile(atPath: path)
    private static let path = "/usr/bin/redis-server"

    struct DidNotStart: Error {}

    init() async throws {
        directory = try TemporaryDirectory()
        let socket = "\(directory.path)/redis.sock"
        endpoint = .unix(path: socket)
        process.executableURL = URL(filePath: Self.path)
        process.arguments = ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"]
        process.currentDirectoryURL = URL(filePath: directory.path)
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        for _ in 0..<500 {
            // The file is there a moment before anyone listens.
            if let address = SocketAddress(unixPath: socket), StreamSocket(connectingTo: address) != nil {
                return
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw DidNotStart()
    }

    deinit {
        // Children of Foundation's Process inherit a blocked SIGTERM.
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }

    /// Stops it as a debugger or an overloaded host does: connections stay up, nothing is answered.
    func stop() { kill(process.processIdentifier, SIGSTOP) }

    /// Lets it go on.
    func goOn() { kill(process.processIdentifier, SIGCONT) }
}
