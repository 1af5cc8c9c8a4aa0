internal import NIOCore

#if canImport(Glibc)
    internal import Glibc
#endif

/// Congestion control on connections that never leave the host.
enum LoopbackCongestion {
    /// "reno", which every kernel has and lets everybody choose, as the bytes of the option's value.
    private static let reno = Int(UInt32(littleEndian: 0x6f6e_6572))

    /// Takes BBR's pacing off a connection from this host.
    ///
    /// Where BBR is the system's default it paces by timers, on loopback too, where there is nothing to congest: 2 MiB
    /// replies then leave at two thirds of the speed. Connections from elsewhere keep what the system chose.
    static func turnOff(_ channel: any Channel) {
        guard let address = channel.remoteAddress, isLoopback(address) else { return }
        // A kernel that refuses keeps its default: slower, not wrong.
        try? channel.syncOptions?.setOption(.tcpOption(.init(rawValue: TCP_CONGESTION)), value: reno)
    }

    private static func isLoopback(_ address: SocketAddress) -> Bool {
        switch address {
        case .v4: address.ipAddress?.hasPrefix("127.") ?? false
        case .v6: address.ipAddress == "::1" || address.ipAddress?.hasPrefix("::ffff:127.") ?? false
        case .unixDomainSocket: false
        }
    }
}
