import Foundation
import Glibc

/// A TCP connection that sends exact bytes of HTTP/2, whole or in parts, and does not read what it is told.
final class RawConnection {
    private let descriptor: CInt

    /// Connects to a port of this machine, and says nothing.
    init(port: Int) throws {
        descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let outcome = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard outcome == 0 else { throw TestError("connect: \(errno)") }
    }

    deinit { close(descriptor) }

    /// Begins HTTP/2.
    func begin() throws {
        try send(
            Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + Self.frame(type: 4, flags: 0, stream: 0, [])
        )
    }

    /// Begins a call: its headers, and no message.
    func call(_ path: String, stream: Int, authorization: String? = nil) throws {
        var block =
            Self.header(":method", "POST") + Self.header(":scheme", "http") + Self.header(":path", path)
        block += Self.header(":authority", "localhost") + Self.header("content-type", "application/grpc")
        block += Self.header("te", "trailers")
        if let authorization { block += Self.header("authorization", authorization) }
        try send(Self.frame(type: 1, flags: 4, stream: stream, block))
    }

    /// Sends a part of a message that is announced as `announced` bytes long.
    func message(stream: Int, announced: Int, sent: Int) throws {
        let length = (0..<4).map { UInt8(truncatingIfNeeded: announced >> (24 - 8 * $0)) }
        try send(
            Self.frame(type: 0, flags: 0, stream: stream, [0] + length + [UInt8](repeating: 0, count: sent))
        )
    }

    /// Whether the node has closed the connection; waits for that, and reads what comes before.
    var isClosed: Bool {
        get async {
            await withCheckedContinuation { continuation in
                let descriptor = descriptor
                Thread {
                    var bytes = [UInt8](repeating: 0, count: 4_096)
                    var count = 1
                    while count > 0 { count = unsafe recv(descriptor, &bytes, bytes.count, 0) }
                    continuation.resume(returning: true)
                }
                .start()
            }
        }
    }

    private func send(_ bytes: [UInt8]) throws {
        guard unsafe Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw TestError("send: \(errno)")
        }
    }

    private static func frame(type: UInt8, flags: UInt8, stream: Int, _ payload: [UInt8]) -> [UInt8] {
        let length = (0..<3).map { UInt8(truncatingIfNeeded: payload.count >> (16 - 8 * $0)) }
        let number = (0..<4).map { UInt8(truncatingIfNeeded: stream >> (24 - 8 * $0)) }
        return length + [type, flags] + number + payload
    }

    /// A literal header that no table remembers; both texts are shorter than 127 bytes.
    private static func header(_ name: String, _ value: String) -> [UInt8] {
        [0, UInt8(name.utf8.count)] + Array(name.utf8) + [UInt8(value.utf8.count)] + Array(value.utf8)
    }
}
