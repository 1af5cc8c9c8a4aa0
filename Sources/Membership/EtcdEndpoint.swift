/// Where one etcd server listens.
struct EtcdEndpoint: Hashable, Sendable, CustomStringConvertible {
    /// Host name, or IPv4 or IPv6 address without brackets.
    let host: String
    /// Port, from 1 on.
    let port: Int

    /// etcd's usual port for clients.
    static let portDefault = 2_379

    /// Takes a host and a port.
    init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// Reads `host`, `host:port`, `[address]` or `[address]:port`; `nil` unless it is one.
    init?(_ text: some StringProtocol) {
        var rest = text[...]
        if rest.first == "[" {
            guard let end = rest.firstIndex(of: "]") else { return nil }
            host = String(rest[rest.index(after: rest.startIndex)..<end])
            rest = rest[rest.index(after: end)...]
        } else {
            let end = rest.firstIndex(of: ":") ?? rest.endIndex
            host = String(rest[..<end])
            rest = rest[end...]
        }
        guard (1...253).contains(host.utf8.count), host.utf8.allSatisfy(Self.mayHave) else { return nil }
        guard !rest.isEmpty else {
            port = Self.portDefault
            return
        }
        guard rest.removeFirst() == ":", let port = UInt16(rest), port > 0 else { return nil }
        self.port = Int(port)
    }

    /// `host:port`.
    var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Whether the host is an IPv6 address.
    var isIPv6: Bool { host.utf8.contains(UInt8(ascii: ":")) }

    /// Whether the host is an IPv4 address.
    var isIPv4: Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
    }

    private static func mayHave(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"),
            UInt8(ascii: ":"):
            true
        default: false
        }
    }
}
