internal import Blocks
internal import NIOCore

/// Which hosts a node without users may bind: those that only this machine reaches.
enum HostRule {
    /// Throws unless `host` names this machine only, saying how to open the node to others.
    static func checkWithoutUsers(_ host: String) throws(CacheError) {
        guard host != "localhost" else { return }
        if let address = try? SocketAddress(ipAddress: host, port: 0), isLoopback(address) { return }
        throw refusal(host)
    }

    /// Throws unless an address that a name resolved to is this machine's own.
    static func checkWithoutUsers(_ address: SocketAddress) throws(CacheError) {
        guard isLoopback(address) else { throw refusal(address.ipAddress ?? "\(address)") }
    }

    private static func isLoopback(_ address: SocketAddress) -> Bool {
        switch address {
        case .v4: address.ipAddress?.hasPrefix("127.") ?? false
        case .v6: address.ipAddress == "::1"
        case .unixDomainSocket: true
        }
    }

    private static func refusal(_ host: String) -> CacheError {
        CacheError(
            .invalidArgument,
            "without users the node listens on this machine only, not on \(host): KV blocks are prompts. Give --users"
                + " FILE with a line name:tenant:scopes:password-hash for each user, or --host 127.0.0.1"
        )
    }
}
