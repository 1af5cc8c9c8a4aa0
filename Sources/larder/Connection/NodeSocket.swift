internal import RESP

#if canImport(Glibc)
    internal import Glibc
#endif

/// A connected stream socket that gives up after a time.
struct NodeSocket: ~Copyable {
    private let descriptor: Int32
    private let address: NodeAddress

    /// Connects by TCP or to a Unix socket; each wait, connecting included, lasts at most `timeout`.
    init(connectingTo address: NodeAddress, timeout: TimeSpan) throws(CommandFailure) {
        self.address = address
        descriptor =
            switch address {
            case .tcp(let host, let port):
                try Self.connect(host: host, port: port, address, timeout)
            case .unix(let path):
                try Self.connect(path: path, address, timeout)
            }
    }

    deinit { close(descriptor) }

    /// Sends a whole request.
    func send(_ request: EncodedRequest) throws(CommandFailure) {
        var progress = EncodedRequest.Progress()
        var reason: Int32 = 0
        while progress.byteCount < request.byteCount {
            unsafe request.sendNext(&progress, countMax: 1) { pieces in
                guard let piece = unsafe pieces.first else { return 0 }
                // SAFETY: send reads at most the piece's bytes, which live during the call.
                let count = unsafe Glibc.send(descriptor, piece.baseAddress, piece.count, Int32(MSG_NOSIGNAL))
                reason = count < 0 && errno != EINTR ? errno : 0
                return max(0, count)
            }
            guard reason == 0 else { throw failure(reason) }
        }
    }

    /// The next bytes, at least one.
    func receive(byteCountMax: Int) throws(CommandFailure) -> [UInt8] {
        while true {
            var reason: Int32 = 0
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: byteCountMax) { buffer, count in
                // SAFETY: recv writes at most `byteCountMax` bytes into the array's own memory.
                let result = unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0)
                reason = result < 0 ? errno : 0
                count = max(0, result)
            }
            if reason == EINTR { continue }
            guard reason == 0 else { throw failure(reason) }
            guard !bytes.isEmpty else {
                throw CommandFailure(.unavailable, "the node at \(address) closed the connection")
            }
            return bytes
        }
    }

    private func failure(_ reason: Int32) -> CommandFailure {
        Self.failure(address, reason)
    }
}

extension NodeSocket {
    private static func connect(
        host: String,
        port: Int,
        _ address: NodeAddress,
        _ timeout: TimeSpan
    ) throws(CommandFailure) -> Int32 {
        // SAFETY: the hints are plain values; their pointers stay nil.
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_NUMERICSERV
        var list = unsafe UnsafeMutablePointer<addrinfo>?.none
        // SAFETY: getaddrinfo fills `list`, which is freed below on every path.
        guard unsafe getaddrinfo(host, String(port), &hints, &list) == 0, let first = unsafe list else {
            throw CommandFailure(.unavailable, "'\(host)' is no known host; see --node")
        }
        defer { unsafe freeaddrinfo(first) }
        var reason = ENOENT
        var next: UnsafeMutablePointer<addrinfo>? = unsafe first
        while let entry = unsafe next {
            let info = unsafe entry.pointee
            let descriptor = unsafe socket(info.ai_family, info.ai_socktype, info.ai_protocol)
            if descriptor >= 0 {
                prepare(descriptor, timeout)
                if unsafe Glibc.connect(descriptor, info.ai_addr, info.ai_addrlen) == 0 { return descriptor }
            }
            reason = errno
            if descriptor >= 0 { close(descriptor) }
            unsafe next = info.ai_next
        }
        throw failure(address, reason)
    }

    private static func connect(
        path: String,
        _ address: NodeAddress,
        _ timeout: TimeSpan
    ) throws(CommandFailure) -> Int32 {
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let isPlaced = unsafe withUnsafeMutableBytes(of: &name.sun_path) { place in
            guard bytes.count < place.count else { return false }
            unsafe place.copyBytes(from: bytes)
            return true
        }
        guard isPlaced else { throw CommandFailure(.usage, "the path of the Unix socket is too long") }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw failure(address, errno) }
        prepare(descriptor, timeout)
        // SAFETY: the address is a sockaddr_un of exactly the given length.
        let result = unsafe withUnsafePointer(to: &name) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            let reason = errno
            close(descriptor)
            throw failure(address, reason)
        }
        return descriptor
    }

    /// Sets the timeouts (connect obeys the send timeout) and sends small requests at once.
    private static func prepare(_ descriptor: Int32, _ timeout: TimeSpan) {
        var time = timeval(
            tv_sec: timeout.milliseconds / 1_000,
            tv_usec: timeout.milliseconds % 1_000 * 1_000
        )
        var isOn: Int32 = 1
        // SAFETY: each option is given a value of its own type and size.
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            unsafe setsockopt(descriptor, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
        }
        unsafe setsockopt(
            descriptor,
            Int32(IPPROTO_TCP),
            TCP_NODELAY,
            &isOn,
            socklen_t(MemoryLayout<Int32>.size)
        )
    }

    private static func failure(_ address: NodeAddress, _ reason: Int32) -> CommandFailure {
        switch reason {
        case ECONNREFUSED, ENOENT:
            CommandFailure(
                .unavailable,
                "no node listens at \(address): start one with 'larder serve', or see --node"
            )
        case EAGAIN, EINPROGRESS, ETIMEDOUT:
            CommandFailure(.unavailable, "the node at \(address) did not answer in time; see --timeout")
        default:
            CommandFailure(.unavailable, "the connection to \(address) failed: \(SystemMessage.text(reason))")
        }
    }
}
