package import Cluster
package import ControlPlane
package import Eviction
internal import Tiering

/// Everything a node is told at its start.
package struct NodeConfiguration: Sendable {
    /// Address or name that the RESP listener binds; anything but loopback needs `users`.
    package var host = "127.0.0.1"
    /// Port of the RESP listener; 0 takes a free one, `nil` opens no TCP listener.
    package var port: Int? = 7379
    /// Path of the Unix socket; `nil` opens none.
    package var unixPath: String?
    /// Port of the lm:// listener, always on 127.0.0.1; 0 takes a free one, `nil` opens none.
    package var lmPort: Int?
    /// Directory of the disk tier and of the node's secret; `nil` keeps nothing on disk.
    package var dataDirectory: String?
    /// Deletions that a node of a cluster remembers for nodes that were away.
    package var deletionCountMax = 131_072
    /// Where the memory tier is kept when the process ends.
    package var memoryFile = MemoryFileChoice.off
    /// Bytes of the memory tier's arena.
    package var memoryByteCount = 2 << 30
    /// Whether blocks are coded in memory when it gets full, so that it holds more of them.
    package var packsMemory = false
    /// Which block leaves memory when there is no room.
    package var memoryPolicy = EvictionPolicyName.forecast
    /// Most blocks in memory; the index takes about 160 bytes for each.
    package var memoryBlockCountMax = 500_000
    /// Most blocks on disk; the index takes about 110 bytes for each.
    package var diskBlockCountMax = 1_000_000
    /// Bytes the disk tier may take; 0 is no disk tier.
    package var diskByteCount = 10 << 30
    /// Who may connect; `nil` is everybody, as tenant `default`, on loopback and Unix sockets only.
    package var users: UserFile?
    /// What an operator must know of the files that the configuration was read from; logged at the start.
    package var warnings: [String] = []
    /// Time that `drainAndStop` gives connections to finish what they have begun.
    package var connectionDrainTimeout: Duration = .seconds(5)
    /// Time that `drainAndStop` may take to write what is in memory to disk.
    package var drainTimeout: Duration = .seconds(30)
    /// What connections may do.
    package var limits = ConnectionLimits()
    /// Event loops; 0 is one per core.
    package var threadCount = 0
    /// Whether clients on the Unix socket may write blocks in place; it lets them write anywhere in the arena.
    package var sharesWrites = false
    /// Whether the arena's pages are touched at start.
    package var prefaults = true
    /// How long a key stays readable after EXISTS reported it to a client that never sent HELLO.
    package var existsLease: Duration = .seconds(5)

    /// The node's place in a cluster; `nil` for a node that is alone.
    package var cluster: ClusterConfiguration?
    /// How routers are told what the node holds; `nil` tells nobody.
    package var events: EventConfiguration?

    /// Port of the control plane over gRPC; 0 takes a free one, `nil` opens none.
    package var controlPort: Int?
    /// Address or name that the control plane binds; anything but loopback needs `users`.
    package var controlHost = "127.0.0.1"
    /// The control plane's certificates; `nil` is without TLS.
    package var controlTLS: ControlTLS?
    /// What the control plane's clients may do.
    package var controlLimits = ControlLimits()

    /// Creates the defaults.
    package init() {}

    /// Adds a warning when other users of this machine can read or write a file that only the node's may.
    package mutating func warnIfOthersReach(_ what: String, _ path: String) {
        if let warning = PrivateFile.warning(what, path) { warnings.append(warning) }
    }
}
