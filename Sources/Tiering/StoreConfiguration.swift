/// What a store is made of.
package struct StoreConfiguration: Sendable {
    /// The share of the memory tier that blocks not yet on disk may take, of 1.
    package var dirtyShareMax = 0.5
    /// The share of a tier's bytes that leases may hold, of 1.
    package var leasedShareMax = 0.5
    /// The share of a tier's bytes that pins may hold, of 1.
    package var pinnedShareMax = 0.5
    /// How long a block waits at most before its unit is written.
    package var writeDelay: Duration = .seconds(10)
    /// Whether blocks are coded in memory when it gets full.
    package var packsMemory = false
    /// Threads that read the disk, and unpack.
    package var readerCount = 4
    /// Loads that may wait for those threads.
    package var loadQueueCountMax = 16_384
    /// Leases at the same time.
    package var leaseCountMax = 65_536
    /// How long EXISTS keeps a block readable for a client that cannot take a miss.
    package var existsLease: Duration = .seconds(5)
    /// Departed blocks whose reason is remembered.
    package var departureCountMax = 65_536
    /// Prefixes whose matches are counted.
    package var hotPrefixCountMax = 256
    /// Namespaces a node remembers.
    package var namespaceCountMax = 4_096
    /// Namespaces that each tenant may know, where tenants are kept apart; else `namespaceCountMax` counts alone.
    package var namespacesPerTenantMax = 1_024
    /// Whether a tenant knows only the namespaces that it has described itself or has blocks in. Off on a node of which
    /// all users are one tenant's for ever: there everybody knows all.
    package var separatesNamespaces = false
    /// Whether the node is one of a cluster: what it does not have may be on another, see ``BlockStore/join(_:)``.
    package var isClustered = false
    /// Deletions that a node of a cluster remembers, and the bytes of their keys.
    package var deletionCountMax = 131_072
    package var deletionByteCountMax = 32 << 20
    /// The share of the memory tier that blocks may take which wait to be given to their owners, of 1.
    package var handoffShareMax = 0.125
    /// Who hears which blocks come and go, if anybody.
    package var watcher: (any BlockWatcher)?

    /// The defaults.
    package init() {}
}
