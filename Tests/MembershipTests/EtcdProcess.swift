import Foundation
import Glibc
import Synchronization
import TestSupport

/// An etcd of the test's own, on free ports of the loopback; ends with its owner.
final class EtcdProcess: Sendable {
    /// What went wrong, for whoever runs the tests.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Address for clients, `127.0.0.1:PORT`.
    let address: String
    private let peerAddress: String
    private let directory: TemporaryDirectory
    private let options: [String]
    private let scheme: String
    private let controlOptions: [String]
    private let process = Mutex<Process?>(nil)

    /// Starts it.
    ///
    /// - Parameters:
    ///   - options: further options of etcd.
    ///   - scheme: `http` or `https`.
    ///   - controlOptions: options of etcdctl that go with them.
    init(_ options: [String] = [], scheme: String = "http", controlOptions: [String] = []) async throws {
        for path in ["/usr/bin/etcd", "/usr/bin/etcdctl"]
        where !FileManager.default.isExecutableFile(atPath: path) {
            throw Failure(description: "\(path) is not there: run scripts/install.sh --with-etcd")
        }
        directory = try TemporaryDirectory()
        self.options = options
        self.scheme = scheme
        self.controlOptions = controlOptions
        address = "127.0.0.1:\(try Self.freePort())"
        peerAddress = "127.0.0.1:\(try Self.freePort())"
        try await start()
    }

    deinit { kill() }

    /// Starts it again where it was, and returns when it answers.
    func start() async throws {
        let log = "\(directory.path)/log"
        _ = FileManager.default.createFile(atPath: log, contents: nil)
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/etcd")
        process.arguments =
            [
                "--data-dir", "\(directory.path)/data", "--logger", "zap", "--log-outputs", "stderr",
                "--listen-client-urls", "\(scheme)://\(address)", "--advertise-client-urls",
                "\(scheme)://\(address)",
                "--listen-peer-urls", "http://\(peerAddress)",
                "--initial-advertise-peer-urls", "http://\(peerAddress)",
                "--initial-cluster", "default=http://\(peerAddress)",
            ] + options
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle(forWritingAtPath: log)
        try process.run()
        self.process.withLock { $0 = process }
        for _ in 0..<3_000 where process.isRunning {
            let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
            if text.contains("ready to serve client requests") || text.contains("serving client") { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw Failure(
            description: "etcd did not start: \((try? String(contentsOfFile: log, encoding: .utf8)) ?? "")"
        )
    }

    /// Stops it as an overloaded host does: connections stay up, nothing is answered.
    func stop() { signal(SIGSTOP) }

    /// Lets it go on.
    func goOn() { signal(SIGCONT) }

    /// Ends it at once.
    func kill() {
        let process = process.withLock { process in
            defer { process = nil }
            return process
        }
        guard let process, process.isRunning else { return }
        Glibc.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// Loses all its data; it must not run.
    func wipe() throws { try FileManager.default.removeItem(atPath: "\(directory.path)/data") }

    /// Runs etcdctl; what it says.
    @discardableResult
    func control(_ arguments: String...) throws -> String {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/etcdctl")
        process.environment = ["ETCDCTL_API": "3"]
        process.arguments = ["--endpoints", "\(scheme)://\(address)"] + controlOptions + arguments
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Failure(description: "etcdctl \(arguments): \(text)")
        }
        return text
    }

    private func signal(_ number: Int32) {
        process.withLock { process in
            if let process { Glibc.kill(process.processIdentifier, number) }
        }
    }

    private static func freePort() throws -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Failure(description: "no socket") }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        // SAFETY: the address outlives both calls, and its length is that of its type.
        let isBound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard isBound else { throw Failure(description: "no free port") }
        return UInt16(bigEndian: address.sin_port)
    }
}
