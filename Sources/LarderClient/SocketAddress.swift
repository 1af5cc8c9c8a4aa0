#if canImport(Glibc)
    internal import Glibc
#endif

/// An address that a socket can connect to.
package struct SocketAddress: Sendable {
    let storage: sockaddr_storage
    let byteCount: socklen_t

    var family: Int32 { Int32(storage.ss_family) }

    /// A Unix socket's address; `nil` for a path that is too long for one (107 bytes).
    package init?(unixPath: String) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = Array(unixPath.utf8)
        guard !path.isEmpty, path.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
        // SAFETY: the path was measured against the field, which is zero behind it.
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path) }
        var storage = sockaddr_storage()
        // SAFETY: sockaddr_storage is larger than, and aligned for, every address.
        unsafe withUnsafeMutableBytes(of: &storage) { storage in
            unsafe withUnsafeBytes(of: &address) { unsafe storage.copyMemory(from: $0) }
        }
        self.storage = storage
        byteCount = socklen_t(MemoryLayout<sockaddr_un>.size)
    }

    /// The addresses of a host, in the order to try them; empty when there are none.
    ///
    /// - Parameters:
    ///   - host: a name or a numeric address.
    ///   - port: the port.
    ///   - isNumericOnly: whether names are left out. Otherwise the call may block for as long as the resolver does.
    /// - Returns: the addresses.
    package static func resolve(host: String, port: UInt16, isNumericOnly: Bool) -> [SocketAddress] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_NUMERICSERV | (isNumericOnly ? AI_NUMERICHOST : 0)
        var list: UnsafeMutablePointer<addrinfo>?
        // SAFETY: getaddrinfo reads the strings and the hints during the call and gives a list that we free.
        guard unsafe getaddrinfo(host, String(port), &hints, &list) == 0 else { return [] }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = unsafe list
        while let entry = unsafe next {
            if let address = unsafe entry.pointee.ai_addr {
                unsafe addresses.append(SocketAddress(copying: address, byteCount: entry.pointee.ai_addrlen))
            }
            unsafe next = entry.pointee.ai_next
        }
        return addresses
    }

    private init(copying address: UnsafePointer<sockaddr>, byteCount: socklen_t) {
        var storage = sockaddr_storage()
        let count = min(Int(byteCount), MemoryLayout<sockaddr_storage>.size)
        // SAFETY: both sides have `count` bytes.
        unsafe withUnsafeMutableBytes(of: &storage) { storage in
            unsafe storage.copyMemory(from: UnsafeRawBufferPointer(start: address, count: count))
        }
        self.storage = storage
        self.byteCount = socklen_t(count)
    }

    func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        // SAFETY: the storage holds an address of `byteCount` bytes, and sockaddr is how the system calls see it.
        unsafe withUnsafePointer(to: storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0, byteCount) }
        }
    }
}
