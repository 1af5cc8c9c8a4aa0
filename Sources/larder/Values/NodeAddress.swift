/// Where a node listens: `HOST:PORT`, `[IPv6]:PORT`, or `unix:PATH`.
enum NodeAddress: Hashable, Sendable {
    case tcp(host: String, port: Int)
    case unix(path: String)

    /// Where a node listens unless it is told otherwise.
    static let standard = NodeAddress.tcp(host: "127.0.0.1", port: 7_379)

    /// Reads an address; a missing port is 7379.
    ///
    /// `nil` when there is no host, or the port is not 1 to 65535.
    init?(_ text: String) {
        if text.hasPrefix("unix:") {
            let path = text.dropFirst("unix:".count)
            guard !path.isEmpty else { return nil }
            self = .unix(path: String(path))
            return
        }
        guard let (host, portText) = Self.split(text), !host.isEmpty, !host.contains("/") else { return nil }
        guard let port = portText.isEmpty ? 7_379 : Int(portText), (1...65_535).contains(port) else {
            return nil
        }
        self = .tcp(host: host, port: port)
    }

    private static func split(_ text: String) -> (host: String, port: String)? {
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            let host = String(text[text.index(after: text.startIndex)..<end])
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { return nil }
            return (host, String(rest.dropFirst()))
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        switch parts.count {
        case 1: return (text, "")
        case 2: return parts[1].isEmpty ? nil : (String(parts[0]), String(parts[1]))
        default: return nil
        }
    }
}

extension NodeAddress: CustomStringConvertible {
    /// As `init` reads it.
    var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
