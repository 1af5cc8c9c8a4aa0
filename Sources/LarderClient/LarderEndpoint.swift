/// Where a node listens.
public enum LarderEndpoint: Hashable, Sendable, CustomStringConvertible {
    /// A host name or address, and a port.
    case tcp(host: String, port: UInt16)
    /// A Unix socket's path.
    case unix(path: String)

    /// The port that nodes listen on when nothing else is said.
    public static let defaultPort: UInt16 = 7379

    /// Reads `host`, `host:port`, `[v6]:port`, `unix:PATH` or a path that begins with `/`; `nil` for the rest.
    public init?(_ text: String) {
        if text.hasPrefix("unix:") || text.hasPrefix("/") {
            let path = text.hasPrefix("unix:") ? String(text.dropFirst(5)) : text
            guard !path.isEmpty else { return nil }
            self = .unix(path: path)
            return
        }
        let host: Substring
        let rest: Substring
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            host = text[text.index(after: text.startIndex)..<end]
            rest = text[text.index(after: end)...]
        } else {
            host = text.prefix { $0 != ":" }
            rest = text.dropFirst(host.count)
        }
        guard !host.isEmpty else { return nil }
        if rest.isEmpty {
            self = .tcp(host: String(host), port: Self.defaultPort)
        } else {
            guard rest.first == ":", let port = UInt16(rest.dropFirst()), port > 0 else { return nil }
            self = .tcp(host: String(host), port: port)
        }
    }

    /// `host:port` or `unix:PATH`.
    public var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
