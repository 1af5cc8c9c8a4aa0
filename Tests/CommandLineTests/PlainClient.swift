import Foundation
import Glibc

/// A connection for plain keys that says what was answered, and ends where the node does.
final class PlainClient {
    /// The connection has ended.
    struct Ended: Error {}

    private let descriptor: Int32
    private var received: [UInt8] = []

    init(port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = unsafe inet_addr("127.0.0.1")
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe connect(
                descriptor,
                UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self),
                socklen_t(MemoryLayout<sockaddr_in>.size)
            )
        }
        guard result == 0 else { throw Ended() }
    }

    deinit { close(descriptor) }

    /// Sets a key; returns once that was answered with OK.
    func set(_ key: String, _ value: [UInt8]) throws {
        try send([Array("SET".utf8), Array(key.utf8), value])
        guard try line() == "+OK" else { throw Ended() }
    }

    /// Deletes a key; returns once that was answered.
    func delete(_ key: String) throws {
        try send([Array("DEL".utf8), Array(key.utf8)])
        guard try line().hasPrefix(":") else { throw Ended() }
    }

    /// The value of a key.
    func get(_ key: String) throws -> [UInt8]? {
        try send([Array("GET".utf8), Array(key.utf8)])
        let head = try line()
        guard head.hasPrefix("$"), let count = Int(head.dropFirst()) else { throw Ended() }
        guard count >= 0 else { return nil }
        while received.count < count + 2 { try receive() }
        defer { received.removeFirst(count + 2) }
        return Array(received[..<count])
    }

    private func send(_ words: [[UInt8]]) throws {
        var bytes = Array("*\(words.count)\r\n".utf8)
        for word in words { bytes += Array("$\(word.count)\r\n".utf8) + word + Array("\r\n".utf8) }
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.send(
                    descriptor,
                    $0.baseAddress.map { unsafe $0 + sent },
                    bytes.count - sent,
                    Int32(MSG_NOSIGNAL)
                )
            }
            guard count > 0 else { throw Ended() }
            sent += count
        }
    }

    private func line() throws -> String {
        while true {
            if let end = received.firstIndex(of: 13), end + 1 < received.count {
                defer { received.removeFirst(end + 2) }
                return String(decoding: received[..<end], as: UTF8.self)
            }
            try receive()
        }
    }

    private func receive() throws {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe recv(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { throw Ended() }
        received += bytes[..<count]
    }
}
