import Foundation
import Glibc
import Synchronization

/// A server of the test's own, on loopback or a Unix socket: a thread for each connection runs a script.
final class FakeServer: Sendable {
    let port: UInt16
    private let listener: Int32
    private let openDescriptors = Mutex<[Int32]>([])
    private let accepted = Atomic<Int>(0)
    private let isStopped = Atomic<Bool>(false)

    /// Connections accepted so far.
    var connectionCount: Int { accepted.load(ordering: .sequentiallyConsistent) }

    /// Listens, at a free port unless one is given, and runs `script` for each connection.
    convenience init(
        port: UInt16 = 0,
        unixPath: String? = nil,
        _ script: @escaping @Sendable (FakeConnection) -> Void
    ) throws {
        try self.init(port: port, unixPath: unixPath, script: script, isAccepting: true)
    }

    /// With `isAccepting` false, connections stay in the listener's queue for ever.
    init(
        port: UInt16 = 0,
        unixPath: String? = nil,
        script: @escaping @Sendable (FakeConnection) -> Void,
        isAccepting: Bool
    ) throws {
        let bound = try Self.listen(port: port, unixPath: unixPath)
        listener = bound.descriptor
        self.port = bound.port
        guard isAccepting else { return }
        let thread = Thread { [weak self, listener] in
            while true {
                let descriptor = accept(listener, nil, nil)
                guard descriptor >= 0 else { return }
                guard let self else {
                    close(descriptor)
                    return
                }
                self.accepted.add(1, ordering: .sequentiallyConsistent)
                self.openDescriptors.withLock { $0.append(descriptor) }
                Thread { [weak self] in
                    script(FakeConnection(descriptor))
                    // The descriptor is closed under the lock, so that `deinit` never shuts another one down.
                    guard let self else { return }
                    self.openDescriptors.withLock { open in
                        open.removeAll { $0 == descriptor }
                        _ = close(descriptor)
                    }
                }.start()
            }
        }
        thread.start()
    }

    deinit { stop() }

    /// Ends the listener and all connections.
    func stop() {
        guard !isStopped.exchange(true, ordering: .sequentiallyConsistent) else { return }
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
        openDescriptors.withLock { open in
            for descriptor in open { shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
    }

    struct SetupError: Error { let code: Int32 }

    private static func listen(port: UInt16, unixPath: String?) throws -> (descriptor: Int32, port: UInt16) {
        let descriptor = socket(unixPath == nil ? AF_INET : AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw SetupError(code: errno) }
        var result: Int32
        if let unixPath {
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            unsafe withUnsafeMutableBytes(of: &address.sun_path) {
                unsafe $0.copyBytes(from: Array(unixPath.utf8))
            }
            let size = socklen_t(MemoryLayout<sockaddr_un>.size)
            result = unsafe withUnsafePointer(to: &address) {
                unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe bind(descriptor, $0, size)
                }
            }
        } else {
            var reuse: Int32 = 1
            _ = unsafe setsockopt(
                descriptor,
                SOL_SOCKET,
                SO_REUSEADDR,
                &reuse,
                socklen_t(MemoryLayout<Int32>.size)
            )
            var address = loopback(port)
            let size = socklen_t(MemoryLayout<sockaddr_in>.size)
            result = unsafe withUnsafePointer(to: &address) {
                unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe bind(descriptor, $0, size)
                }
            }
        }
        guard result == 0, Glibc.listen(descriptor, 64) == 0 else { throw SetupError(code: errno) }
        guard unixPath == nil else { return (descriptor, 0) }
        var bound = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = unsafe withUnsafeMutablePointer(to: &bound) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, $0, &size)
            }
        }
        return (descriptor, UInt16(bigEndian: bound.sin_port))
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }

    /// A port that nobody listens on.
    static func unusedPort() throws -> UInt16 {
        let server = try FakeServer { _ in }
        return server.port
    }
}

/// One connection of a fake server.
final class FakeConnection {
    private let descriptor: Int32
    private var received: [UInt8] = []

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// The next request's arguments; `nil` when the client has closed.
    func readRequest() -> [[UInt8]]? {
        guard let count = readCount() else { return nil }
        var arguments: [[UInt8]] = []
        for _ in 0..<count {
            guard let length = readCount(), let argument = read(length + 2) else { return nil }
            arguments.append(argument.dropLast(2))
        }
        return arguments
    }

    /// The next request as text.
    func readWords() -> [String]? {
        readRequest()?.map { String(decoding: $0, as: UTF8.self) }
    }

    /// Sends bytes; `false` when the client has closed.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var offset = 0
        while offset < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { bytes in
                guard let start = bytes.baseAddress else { return 0 }
                return unsafe Glibc.send(
                    descriptor,
                    start + offset,
                    bytes.count - offset,
                    Int32(MSG_NOSIGNAL)
                )
            }
            guard count > 0 else { return false }
            offset += count
        }
        return true
    }

    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// A bulk string's bytes on the wire.
    static func bulk(_ bytes: [UInt8]) -> [UInt8] {
        Array("$\(bytes.count)\r\n".utf8) + bytes + Array("\r\n".utf8)
    }

    /// Waits until the client closes.
    func waitForClose() {
        while fill() {}
    }

    private func readCount() -> Int? {
        while true {
            if let end = received.firstIndex(of: 10) {
                let line = received[1..<(end - 1)]
                received.removeFirst(end + 1)
                return Int(String(decoding: line, as: UTF8.self))
            }
            guard fill() else { return nil }
        }
    }

    private func read(_ count: Int) -> [UInt8]? {
        while received.count < count { guard fill() else { return nil } }
        defer { received.removeFirst(count) }
        return Array(received.prefix(count))
    }

    private func fill() -> Bool {
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        let count = unsafe recv(descriptor, &chunk, chunk.count, 0)
        guard count > 0 else { return false }
        received += chunk.prefix(count)
        return true
    }
}
