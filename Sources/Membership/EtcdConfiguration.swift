package import Blocks
internal import Foundation

/// How a node reaches etcd, and how long it waits for what.
package struct EtcdConfiguration: Sendable {
    /// Servers of one etcd cluster, tried in turn.
    let endpoints: [EtcdEndpoint]
    /// What stands before all keys: `/` and a name, without a slash at its end.
    let prefix: String
    /// Who the node is for etcd; `nil` when etcd asks nobody.
    let user: EtcdUser?
    /// Files for TLS; `nil` for connections without.
    let tls: EtcdTLSFiles?
    /// How long a node that no longer tells that it lives stays a member: 2 s to 1 h, whole seconds.
    let memberTTL: Duration
    /// How long the node's start waits for etcd.
    package var startTimeout: Duration = .seconds(10)
    /// How long one call may take.
    package var callTimeout: Duration = .seconds(3)
    /// Longest pause between two attempts to reach etcd.
    package var pauseMax: Duration = .seconds(2)
    /// How long a member whose record etcd has lost keeps its place after etcd came back.
    package var graceTime: Duration

    /// Usual `memberTTL`.
    package static let memberTTLDefault: Duration = .seconds(30)
    /// What `memberTTL` may be, seconds.
    package static let memberTTLSeconds: ClosedRange<Int64> = 2...3_600
    /// Most servers.
    static let endpointCountMax = 16
    /// Longest prefix, bytes.
    static let prefixByteCountMax = 255

    /// Reads `etcd://[user:password@]host[:port][,host[:port]...]/prefix`, `etcds://...` for TLS.
    ///
    /// - Parameters:
    ///   - url: the address; user, password and prefix may have `%XX` in them.
    ///   - passwordFile: the password's file, for not giving it in the address; its first line counts.
    ///   - tls: files for TLS; only with `etcds://`.
    ///   - memberTTL: how long a node that no longer tells that it lives stays a member, whole seconds.
    /// - Throws: `.invalidArgument` that never shows the address itself, which may hold a password.
    package init(
        url: String,
        passwordFile: String? = nil,
        tls: EtcdTLSFiles? = nil,
        memberTTL: Duration = memberTTLDefault
    ) throws(CacheError) {
        let form =
            "an etcd address is etcd://[user:password@]host:port[,host:port...]/prefix, etcds:// for TLS"
        guard let schemeEnd = url.range(of: "://"), ["etcd", "etcds"].contains(url[..<schemeEnd.lowerBound])
        else {
            throw CacheError(.invalidArgument, form)
        }
        let isSecure = url[..<schemeEnd.lowerBound] == "etcds"
        let rest = url[schemeEnd.upperBound...]
        guard let slash = rest.firstIndex(of: "/") else {
            throw CacheError(.invalidArgument, "\(form): the prefix is missing")
        }
        prefix = try Self.prefix(rest[slash...])
        var servers = rest[..<slash]
        if let at = servers.lastIndex(of: "@") {
            user = try EtcdUser(servers[..<at], passwordFile: passwordFile)
            servers = servers[servers.index(after: at)...]
        } else {
            guard passwordFile == nil else {
                throw CacheError(
                    .invalidArgument,
                    "a password for etcd needs a user: etcd://user@host:port/prefix"
                )
            }
            user = nil
        }
        let parts = servers.split(separator: ",", omittingEmptySubsequences: false)
        endpoints = parts.compactMap { EtcdEndpoint($0) }
        guard endpoints.count == parts.count, (1...Self.endpointCountMax).contains(parts.count) else {
            throw CacheError(
                .invalidArgument,
                "\(form): 1 to \(Self.endpointCountMax) servers, each host or host:port"
            )
        }
        guard isSecure || tls == nil else {
            throw CacheError(
                .invalidArgument,
                "certificates for etcd need an address that begins with etcds://"
            )
        }
        self.tls = isSecure ? tls ?? EtcdTLSFiles() : nil
        guard Self.memberTTLSeconds.contains(memberTTL.components.seconds),
            memberTTL.components.attoseconds == 0
        else {
            let range = Self.memberTTLSeconds
            throw CacheError(
                .invalidArgument,
                "a member's time to live is \(range.lowerBound) to \(range.upperBound) whole seconds"
            )
        }
        self.memberTTL = memberTTL
        // Never shorter than the others need to reach etcd again.
        graceTime = max(memberTTL, .seconds(10))
    }

    /// The address without credentials.
    var source: String {
        "\(tls == nil ? "etcd" : "etcds")://\(endpoints.map(\.description).joined(separator: ","))\(prefix)"
    }

    /// How often etcd is told that the node lives: a third of its time to live, at most 2 s, so that a lost etcd is
    /// noticed soon.
    var beat: Duration { min(memberTTL / 3, .seconds(2)) }

    private static func prefix(_ text: Substring) throws(CacheError) -> String {
        let parts = text.split(separator: "/").map { String($0).removingPercentEncoding ?? "" }
        let prefix = "/" + parts.joined(separator: "/")
        let isPlain = prefix.utf8.allSatisfy { (0x21...0x7E).contains($0) }
        guard !parts.isEmpty, !parts.contains(""), isPlain, prefix.utf8.count <= prefixByteCountMax else {
            throw CacheError(
                .invalidArgument,
                "the prefix of an etcd address is a name of at most \(prefixByteCountMax) visible ASCII characters"
            )
        }
        return prefix
    }
}
