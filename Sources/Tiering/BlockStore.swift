package import Blocks
package import DiskTier
package import MemoryTier
internal import Synchronization

/// The one door to blocks: puts, gets, matches and changes over memory and disk.
///
/// A put goes to memory and, by the write-behind thread, to disk; a get is served from memory, or brought from disk by
/// one read however many ask. Nothing here blocks the caller: what needs a disk reports by a closure that is called
/// on a thread of the store's. Thread-safe.
package final class BlockStore: Sendable {
    /// Where the store takes its time from.
    package let clock: any CacheClock

    let memory: MemoryTier
    /// The shared memory that holds the blocks.
    package var arena: Arena { memory.arena }
    let disk: DiskTier?
    let configuration: StoreConfiguration
    let counters: StoreCounters
    let registry: SpaceRegistry
    let leases: LeaseTable
    let departures: DepartureLog
    let hotPrefixes: HotPrefixes
    let chains = ChainPlaces()
    let spaceWaiters = SpaceWaiters()
    let loader: BlockLoader
    let packer: MemoryPacker?
    let writeBehind: WriteBehind?
    let peerLoader: PeerLoader
    let handoff: Handoff
    /// When blocks were deleted; `nil` on a node that is alone, where nothing travels.
    let deletions: DeletionLog?
    let peers = Mutex<(any PeerTier)?>(nil)
    let isDraining = Atomic<Bool>(false)

    private let maintenance = Mutex<ServiceThread?>(nil)
    private let isClosed = Atomic<Bool>(false)
    private let maintenanceBell = Doorbell()

    /// Opens the tiers and starts the store's threads. Blocks while the disk index is rebuilt.
    ///
    /// - Parameters:
    ///   - memory: The size of the memory tier.
    ///   - disk: The disk tier's directory and budget, or `nil` for none.
    ///   - secret: Keys every prefix; the same secret finds the same blocks after a restart.
    ///   - directory: Where namespaces are remembered, or `nil` to forget them.
    package init(
        memory memoryConfiguration: MemoryTierConfiguration,
        disk diskConfiguration: DiskTierConfiguration?,
        secret: NodeSecret,
        directory: String?,
        configuration: StoreConfiguration = StoreConfiguration(),
        clock: any CacheClock = SystemClock()
    ) throws(CacheError) {
        let counters = StoreCounters()
        let departures = DepartureLog(countMax: configuration.departureCountMax)
        let registry = try SpaceRegistry(
            secret: secret,
            directory: directory,
            namespaceCountMax: configuration.namespaceCountMax,
            namespacesPerTenantMax: configuration.separatesNamespaces
                ? configuration.namespacesPerTenantMax : nil,
            isClustered: configuration.isClustered
        )
        let observer = RemovalObserver(
            counters: counters,
            departures: departures,
            watcher: configuration.watcher
        )
        let memory = try MemoryTier(memoryConfiguration, clock: clock) { identity, _, reason in
            observer.leftMemory(identity, reason)
        }
        var disk: DiskTier?
        if var diskConfiguration {
            diskConfiguration.shouldCarry = { identity in memory.handle(identity) != nil }
            disk = try DiskTier.open(diskConfiguration, clock: clock) { identity, _, reason in
                observer.leftDisk(identity, reason)
            }
        }
        observer.watch(memory: memory, disk: disk)
        self.memory = memory
        self.disk = disk
        self.clock = clock
        self.configuration = configuration
        self.counters = counters
        self.registry = registry
        self.departures = departures
        deletions =
            configuration.isClustered
            ? DeletionLog(
                countMax: configuration.deletionCountMax,
                byteCountMax: configuration.deletionByteCountMax,
                now: clock.unixMilliseconds()
            ) : nil
        leases = LeaseTable(countMax: configuration.leaseCountMax, now: clock.monotonicNanoseconds())
        hotPrefixes = HotPrefixes(countMax: configuration.hotPrefixCountMax)
        let packer =
            configuration.packsMemory
            ? MemoryPacker(
                memory: memory,
                counters: counters,
                queueCountMax: memoryConfiguration.blockCountMax
            ) : nil
        loader = BlockLoader(
            memory: memory,
            disk: disk,
            counters: counters,
            chains: chains,
            packer: packer,
            pinnedByteCountMax: Int(Double(memory.arena.byteCount) * configuration.pinnedShareMax),
            configuration: configuration
        )
        if let disk {
            writeBehind = WriteBehind(
                memory: memory,
                disk: disk,
                clock: clock,
                counters: counters,
                packer: packer,
                waitersForSpace: spaceWaiters,
                configuration: configuration
            )
        } else {
            writeBehind = nil
        }
        self.packer = packer
        peerLoader = PeerLoader(
            memory: memory,
            counters: counters,
            chains: chains,
            deletions: deletions,
            configuration: configuration
        )
        handoff = Handoff(
            memory: memory,
            clock: clock,
            counters: counters,
            waitersForSpace: spaceWaiters
        ) { [memory, disk, writeBehind, packer] handle, byteCount in
            if let disk, byteCount <= disk.payloadByteCountMax {
                writeBehind?.enqueue(handle, byteCount: byteCount)
            } else {
                memory.markClean(handle)
                packer?.offer(handle)
            }
        }
        takeOver()
        if configuration.separatesNamespaces {
            registry.recovered(memory.prefixes.union(disk?.prefixes ?? []))
        }
        loader.start()
        packer?.start()
        writeBehind?.start()
        maintenance.withLock { $0 = ServiceThread(name: "larder-tend") { self.tend() } }
    }

    /// What the disk tier found when it was opened.
    package var diskOpenReport: DiskOpenReport? { disk?.openReport }

    /// Asks to share the arena with processes of a tenant for as long as the node runs; false when a block of another
    /// tenant is or was in it. From then on no other tenant's block enters it.
    package func shareArena(with tenant: Tenant) -> Bool {
        memory.tenancy.share(with: registry.mark(of: tenant))
    }

    /// What opening the memory file came to; `nil` when none was wanted.
    package var memoryFileReport: MemoryFileReport? { memory.fileReport }

    /// Faults the arena's pages in; blocks, so give it a thread. Stops early when `progress` says false.
    package func prefault(progress: (_ byteCount: Int) -> Bool) {
        memory.prefault(progress: progress)
    }

    // MARK: Key spaces

    /// Registers a described namespace and returns the tenant's view of it.
    package func space(tenant: Tenant, description: NamespaceDescription) throws(CacheError) -> KeySpace {
        let space = try registry.register(tenant: tenant, description: description)
        configuration.watcher?.opened(space)
        return space
    }

    /// The tenant's view of a namespace, or `nil` when nobody has described it to this node.
    package func space(tenant: Tenant, namespace: NamespaceID) -> KeySpace? {
        let space = registry.space(tenant: tenant, namespace: namespace)
        if let space { configuration.watcher?.opened(space) }
        return space
    }

    /// The tenant's view of a namespace that it knows, or `nil`: the same for one that nobody has described and for one
    /// that only others have.
    package func visibleSpace(tenant: Tenant, namespace: NamespaceID) -> KeySpace? {
        let space = registry.visibleSpace(tenant: tenant, namespace: namespace)
        if let space { configuration.watcher?.opened(space) }
        return space
    }

    /// Makes a tenant forget a namespace that holds none of its blocks on this node.
    ///
    /// - Returns: The blocks that it holds; it is forgotten when there are none.
    package func forget(_ space: KeySpace) throws(CacheError) -> Int {
        let count = blockCount(space)
        if count == 0 { try registry.forget(space) }
        return count
    }

    /// The namespaces that somebody has described, now or before a restart.
    package var descriptions: [NamespaceDescription] { registry.descriptions }

    /// Remembers a namespace that another node of the cluster has told of.
    package func remember(_ description: NamespaceDescription) throws(CacheError) {
        try registry.remember(description)
    }

    /// Becomes one node of a cluster: from now on blocks that are not here are asked for elsewhere, and blocks that
    /// belong elsewhere are given there. Call once, on a store that was configured for it.
    package func join(_ peers: any PeerTier) {
        self.peers.withLock { $0 = peers }
        handoff.start(peers)
    }

    /// The described namespaces that a tenant knows.
    package func descriptions(of tenant: Tenant) -> [NamespaceDescription] {
        registry.descriptions(of: tenant)
    }

    /// Each described namespace with the tenants that know it, for other nodes.
    package var knownDescriptions: [(description: NamespaceDescription, tenants: [Tenant])] {
        registry.knownDescriptions
    }

    /// Bytes of the payloads that a tenant's blocks have in memory. Walks the index.
    package func memoryPayloadByteCount(of tenant: Tenant) -> Int {
        memory.payloadByteCount(of: registry.prefixes(of: tenant))
    }

    /// The tenant's plain Redis keys of one numbered database.
    package func space(tenant: Tenant, database: Int) -> KeySpace {
        registry.space(tenant: tenant, database: database)
    }

    /// The tenant's keys of a service with a name of its own (the lm:// listener); never meets a description.
    package func space(tenant: Tenant, service: String) -> KeySpace {
        registry.space(tenant: tenant, service: service)
    }

    // MARK: Ending

    /// Refuses new puts from now on.
    package func refusePuts() { isDraining.store(true, ordering: .sequentiallyConsistent) }

    /// Waits until the blocks that were put here for other nodes are with them, or the time is over; blocks. Returns
    /// whether all are.
    package func finishTransfers(within limit: Duration) -> Bool {
        let end = clock.monotonicNanoseconds() &+ limit.nanoseconds
        let bell = Doorbell()
        while handoff.status.count > 0 {
            guard clock.monotonicNanoseconds() < end else { return false }
            bell.wait(milliseconds: 5)
        }
        return true
    }

    /// Refuses new puts and writes what is in memory to disk.
    ///
    /// Blocks until all is written, the time is over or the disk fails; returns the blocks left unwritten.
    package func drain(within limit: Duration, progress: (_ blockCount: Int, _ byteCount: Int) -> Void) -> Int
    {
        isDraining.store(true, ordering: .sequentiallyConsistent)
        guard let writeBehind else { return 0 }
        handoff.stop()
        writeBehind.flush()
        let end = clock.monotonicNanoseconds() &+ limit.nanoseconds
        let bell = Doorbell()
        var lastReport: UInt64 = 0
        while true {
            let status = writeBehind.status
            let now = clock.monotonicNanoseconds()
            guard status.count > 0 || disk?.hasPendingRecords == true, now < end else { return status.count }
            if now &- lastReport > 500_000_000 {
                progress(status.count, status.byteCount)
                lastReport = now
            }
            bell.wait(milliseconds: 10)
        }
    }

    /// Stops the threads and closes the tiers. Leases that are still out keep their bytes readable.
    package func close() {
        guard !isClosed.exchange(true, ordering: .sequentiallyConsistent) else { return }
        isDraining.store(true, ordering: .sequentiallyConsistent)
        maintenanceBell.ring()
        maintenance.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
        spaceWaiters.wakeAll()
        handoff.stop()
        peerLoader.stop()
        packer?.stop()
        loader.stop()
        writeBehind?.stop()
        disk?.close()
    }

    /// The slow, steady work: leases that end, blocks that expire, puts that waited long enough.
    private func tend() {
        while !isClosed.load(ordering: .sequentiallyConsistent) {
            maintenanceBell.wait(milliseconds: 20)
            let now = clock.monotonicNanoseconds()
            let ended = leases.removeExpired(now: now)
            if !ended.isEmpty {
                counters.leasesExpired.add(ended.count)
                for holdings in ended { giveBack(holdings) }
            }
            // Readers give memory back without a sign, so who waits for some looks again on every tick.
            spaceWaiters.wakeAll()
            handoff.pump()
            _ = memory.sweepExpired(blockCountMax: 4_096)
            // A tenth of a core, so that reads seldom have to prove what the run before left.
            _ = memory.proveTakenOver(byteCountMax: 16 << 20)
        }
    }

    /// Returns what a lease held.
    func giveBack(_ holdings: LeaseTable.Holdings) {
        for handle in holdings.memoryHandles { memory.release(handle) }
        if let disk {
            for identity in holdings.diskIdentities { disk.release(identity) }
        }
        if !holdings.peerLeases.isEmpty { peers.withLock { $0 }?.release(holdings.peerLeases) }
        if holdings.memoryByteCount > 0 { spaceWaiters.wakeAll() }
    }
}
