internal import LarderClient

#if canImport(Glibc)
    internal import Glibc
#endif

/// Finds out whether an address can be listened on.
enum PortProbe {
    /// Binds and lets go.
    ///
    /// `nil` when that worked, `errno` otherwise. Port 0 always works.
    static func bindFailure(host: String, port: Int) -> Int32? {
        // SAFETY: the hints are plain values; their pointers stay nil.
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        var list = unsafe UnsafeMutablePointer<addrinfo>?.none
        // SAFETY: getaddrinfo fills `list`, which is freed below on every path.
        guard unsafe getaddrinfo(host, String(port), &hints, &list) == 0, let first = unsafe list else {
            return EADDRNOTAVAIL
        }
        defer { unsafe freeaddrinfo(first) }
        let info = unsafe first.pointee
        let descriptor = unsafe socket(info.ai_family, info.ai_socktype, info.ai_protocol)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        var isOn: Int32 = 1
        // SAFETY: the option is given a value of its own type and size.
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &isOn, socklen_t(MemoryLayout<Int32>.size))
        return unsafe bind(descriptor, info.ai_addr, info.ai_addrlen) == 0 ? nil : errno
    }

    /// The verdict on one listener.
    static func judge(_ name: String, host: String, port: Int, failure: Int32?) -> Finding {
        let place = LarderEndpoint.tcp(host: host, port: UInt16(clamping: port)).description
        switch failure {
        case nil: return .ok(name, "\(place) is free")
        case EADDRINUSE:
            return .failure(
                name,
                "\(place) is taken",
                fix: "stop its owner (ss -ltnp), or choose another port"
            )
        case EADDRNOTAVAIL:
            return .failure(
                name,
                "\(host) is no address of this machine",
                fix: "--host 127.0.0.1, or one of 'ip addr'"
            )
        case let reason?:
            return .failure(name, "\(place): \(SystemMessage.text(reason))", fix: "another address or port")
        }
    }
}
