import CPosix
import Glibc

/// What went wrong on the wire.
struct WireError: Error, CustomStringConvertible {
    let text: String
    var description: String { text }
}

/// A blocking socket that sends and receives exact bytes, with a deadline for each call.
final class WireClient {
    private let descriptor: CInt
    private var pending: ArraySlice<UInt8> = []
    private var isAtEnd = false

    /// Connects to a port of 127.0.0.1, from 127.0.0.`source`.
    init(port: Int, receiveBufferByteCount: Int32? = nil, source: UInt32 = 1) throws {
        descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        if source != 1 {
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = (UInt32(0x7F00_0000) + source).bigEndian
            let outcome = unsafe withUnsafePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            guard outcome == 0 else { throw WireError(text: "bind: \(errno)") }
        }
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        if var count = receiveBufferByteCount {
            unsafe _ = setsockopt(
                descriptor,
                SOL_SOCKET,
                SO_RCVBUF,
                &count,
                socklen_t(MemoryLayout<Int32>.size)
            )
        }
        let outcome = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard outcome == 0 else { throw WireError(text: "connect: \(errno)") }
        setTimeout()
    }

    /// Connects to a Unix socket.
    init(path: String) throws {
        descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: Array(path.utf8)) }
        let outcome = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard outcome == 0 else { throw WireError(text: "connect: \(errno)") }
        setTimeout()
    }

    deinit { close(descriptor) }

    private func setTimeout() {
        var timeout = timeval(tv_sec: 10, tv_usec: 0)
        unsafe _ = setsockopt(
            descriptor,
            SOL_SOCKET,
            SO_RCVTIMEO,
            &timeout,
            socklen_t(MemoryLayout<timeval>.size)
        )
        unsafe _ = setsockopt(
            descriptor,
            SOL_SOCKET,
            SO_SNDTIMEO,
            &timeout,
            socklen_t(MemoryLayout<timeval>.size)
        )
    }

    /// Sends all bytes.
    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe Glibc.send(
                    descriptor,
                    buffer.baseAddress.map { unsafe $0 + sent },
                    bytes.count - sent,
                    0x4000
                )
            }
            guard count > 0 else { throw WireError(text: "send: errno \(errno)") }
            sent += count
        }
    }

    /// Sends text as it is.
    func send(_ text: String) throws {
        try send(Array(text.utf8))
    }

    /// Sends a request of text words.
    func request(_ words: String...) throws {
        try send(Self.encode(words.map { Array($0.utf8) }))
    }

    /// Sends a request of byte words.
    func request(bytes words: [[UInt8]]) throws {
        try send(Self.encode(words))
    }

    /// A request as it goes over the wire.
    static func encode(_ words: [[UInt8]]) -> [UInt8] {
        var bytes = Array("*\(words.count)\r\n".utf8)
        for word in words { bytes += Array("$\(word.count)\r\n".utf8) + word + [13, 10] }
        return bytes
    }

    /// Ends the sending direction.
    func finishSending() {
        shutdown(descriptor, CInt(SHUT_WR))
    }

    /// Receives exactly `count` bytes.
    func receive(_ count: Int) throws -> [UInt8] {
        while pending.count < count {
            guard try fill() else { throw WireError(text: "the connection ended after \(text(pending))") }
        }
        defer { pending = pending.dropFirst(count) }
        return Array(pending.prefix(count))
    }

    /// Receives exactly as many bytes as `text` has, and returns them as text.
    func receive(like text: String) throws -> String {
        self.text(try receive(text.utf8.count))
    }

    /// Receives what is there with the descriptor attached to it, which the caller closes.
    func receiveDescriptor() throws -> CInt {
        var descriptors = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)]
        unsafe _ = poll(&descriptors, 1, 10_000)
        var chunk = [UInt8](repeating: 0, count: 4_096)
        var received: CInt = -1
        let count = unsafe chunk.withUnsafeMutableBytes {
            unsafe larder_receive_descriptor(descriptor, $0.baseAddress, $0.count, &received)
        }
        guard count > 0 else { throw WireError(text: "recvmsg: \(count), errno \(errno)") }
        pending += chunk[..<count]
        return received
    }

    /// Receives one line with its end.
    func receiveLine() throws -> String {
        while true {
            if let end = pending.firstIndex(of: 10) {
                defer { pending = pending[(end + 1)...] }
                return text(pending[...end])
            }
            guard try fill() else { throw WireError(text: "the connection ended after \(text(pending))") }
        }
    }

    /// Receives one whole reply, of any type, as its bytes.
    func receiveReply() throws -> String {
        let line = try receiveLine()
        let body = line.body
        switch line.first {
        case "$", "=":
            guard let count = Int(body), count >= 0 else { return line }
            return line + text(try receive(count + 2))
        case "*", "~", ">", "%":
            guard let count = Int(body), count > 0 else { return line }
            var all = line
            for _ in 0..<(line.first == "%" ? 2 * count : count) { all += try receiveReply() }
            return all
        default:
            return line
        }
    }

    /// Sends a request and returns its reply.
    func ask(_ words: String...) throws -> String {
        try send(Self.encode(words.map { Array($0.utf8) }))
        return try receiveReply()
    }

    /// Receives until the other side closes, and counts the bytes; throws when it does not within the deadline.
    func countToEnd() throws -> Int {
        while try fill() {}
        defer { pending = [] }
        return pending.count
    }

    /// Receives until the other side closes; throws when it does not within the deadline.
    func receiveToEnd() throws -> String {
        while try fill() {}
        defer { pending = [] }
        return text(pending)
    }

    /// What arrives within `milliseconds`, which may be nothing.
    func receiveWithin(milliseconds: Int) throws -> String {
        var descriptors = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)]
        while unsafe poll(&descriptors, 1, Int32(milliseconds)) > 0, try fill() {}
        defer { pending = [] }
        return text(pending)
    }

    /// Whether the other side has closed, as far as can be seen within `milliseconds`.
    func isClosed(within milliseconds: Int) throws -> Bool {
        var descriptors = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)]
        while !isAtEnd {
            guard unsafe poll(&descriptors, 1, Int32(milliseconds)) > 0 else { return false }
            _ = try fill()
        }
        return true
    }

    private func fill() throws -> Bool {
        if isAtEnd { return false }
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        let count = unsafe chunk.withUnsafeMutableBytes {
            unsafe recv(descriptor, $0.baseAddress, $0.count, 0)
        }
        if count > 0 {
            // What was taken is let go here, so that long replies are not moved for each of their pieces.
            if pending.startIndex > 8 << 20 { pending = ArraySlice(Array(pending)) }
            pending += chunk[..<count]
            return true
        }
        guard count == 0 || errno == ECONNRESET else { throw WireError(text: "recv: errno \(errno)") }
        isAtEnd = true
        return false
    }

    /// The namespace that describes nothing.
    func describeEmpty() throws -> String {
        String(try ask("KV.DESCRIBE", "{}").split(separator: "\r\n")[1])
    }

    private func text(_ bytes: some Collection<UInt8>) -> String {
        String(decoding: bytes, as: UTF8.self)
    }
}

extension String {
    /// A reply's line without its first character and its line end, which is one character to Swift.
    var body: Substring { dropFirst().dropLast(hasSuffix("\r\n") ? 1 : 0) }
}
