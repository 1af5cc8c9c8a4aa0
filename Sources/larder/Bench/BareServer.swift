internal import Foundation

#if canImport(Glibc)
    internal import Glibc
#endif

/// The least that answers GET and SET: a listening socket, and a thread for each connection.
struct BareServer {
    private let descriptor: Int32
    private let store = BareStore()

    /// Where it listens.
    let port: UInt16

    /// Listens on loopback; port 0 takes a free one.
    init(port: UInt16) throws(CommandFailure) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Self.failure("socket") }
        self.descriptor = descriptor
        Self.setOption(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        // "reno" as the bytes of the option's value; connections inherit it.
        Self.setOption(descriptor, Int32(IPPROTO_TCP), TCP_CONGESTION, Int32(littleEndian: 0x6f6e_6572))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var byteCount = socklen_t(MemoryLayout<sockaddr_in>.size)
        // SAFETY: the address is read and written during the calls, as its own type's size says.
        let isListening = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                unsafe bind(descriptor, pointer, byteCount) == 0 && listen(descriptor, 1_024) == 0
                    && getsockname(descriptor, pointer, &byteCount) == 0
            }
        }
        guard isListening else { throw Self.failure("127.0.0.1:\(port)") }
        self.port = UInt16(bigEndian: address.sin_port)
    }

    /// Serves until the process ends.
    func run() throws(CommandFailure) -> Never {
        signal(SIGPIPE, SIG_IGN)
        while true {
            let accepted = accept(descriptor, nil, nil)
            guard accepted >= 0 else {
                if errno == EINTR || errno == ECONNABORTED { continue }
                throw Self.failure("accept")
            }
            Self.setOption(accepted, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
            let connection = BareConnection(accepted, store)
            let thread = Thread { connection.serve() }
            thread.stackSize = 512 << 10
            thread.start()
        }
    }

    private static func setOption(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32) {
        var value = value
        // SAFETY: four bytes, read during the call. A socket that does not take an option works without.
        _ = unsafe setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private static func failure(_ what: String) -> CommandFailure {
        CommandFailure(.unavailable, "\(what): \(SystemMessage.text(errno))")
    }
}
