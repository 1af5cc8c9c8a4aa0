internal import Blocks
internal import Cluster
internal import DiskTier
internal import Glibc
internal import Logging
internal import MemoryTier
internal import NIOCore
internal import NIOPosix
internal import Synchronization
internal import Tiering

/// The parts of a started node, and how they end.
final class RunningNode: Sendable {
    let services: NodeServices
    let addresses: BoundAddresses
    private let group: MultiThreadedEventLoopGroup
    private let keepers: [LoopKeeper]
    private let channels: [any Channel]
    private let control: ControlPart?
    private let prefault: Prefault
    private let logger: Logger

    private init(
        services: NodeServices,
        addresses: BoundAddresses,
        group: MultiThreadedEventLoopGroup,
        keepers: [LoopKeeper],
        channels: [any Channel],
        control: ControlPart?,
        prefault: Prefault,
        logger: Logger
    ) {
        self.services = services
        self.addresses = addresses
        self.group = group
        self.keepers = keepers
        self.channels = channels
        self.control = control
        self.prefault = prefault
        self.logger = logger
    }

    /// Opens everything in order, and closes what was opened when a step fails.
    static func start(
        _ configuration: NodeConfiguration,
        clock: any CacheClock,
        logger: Logger
    ) async throws -> RunningNode {
        var configuration = configuration
        configuration.limits.connectionCountMax = FileLimit.raise(
            wanted: configuration.limits.connectionCountMax,
            logger: logger
        )
        let threadCount = configuration.threadCount > 0 ? configuration.threadCount : System.coreCount
        let group = MultiThreadedEventLoopGroup(numberOfThreads: threadCount)
        let events = configuration.events.map { EventService($0, group: group) }
        let control = configuration.controlPort.map { _ in ControlPart(configuration, logger: logger) }
        let watcher = WatcherPair.joining([events?.notes, control?.notes])
        let store: BlockStore
        do {
            store = try await openStore(configuration, watcher: watcher, clock: clock, logger: logger)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
        let sharedUsers = SharedUsers(logger: logger)
        let cluster = configuration.cluster.map { cluster in
            var cluster = cluster
            cluster.directory = configuration.dataDirectory
            return Cluster(cluster, store: store, logger: logger) { sharedUsers.changed($0) }
        }
        let services = NodeServices(
            store: store,
            configuration: configuration,
            events: events,
            cluster: cluster,
            controlCounters: control?.serverCounters,
            logger: logger
        )
        for warning in configuration.warnings { logger.warning("\(warning)") }
        if let users = configuration.users, !users.hasOperator {
            logger.warning(
                "no user of the users file has the scope operator, so nobody sees figures of the whole node or drains it"
            )
        }
        sharedUsers.begin(services.authenticator)
        var keepers: [ObjectIdentifier: LoopKeeper] = [:]
        for eventLoop in group.makeIterator() {
            let keeper = LoopKeeper(eventLoop: eventLoop, clock: clock, latencies: services.latencies)
            eventLoop.execute { keeper.start() }
            keepers[ObjectIdentifier(eventLoop)] = keeper
        }
        let listener = Listener(group: group, keepers: keepers, services: services)
        do {
            // Before anybody can put: what is told first is that nothing told before counts.
            events?.start(store)
            let eventPorts = try await events?.listen()
            if let host = configuration.events?.host, (try? HostRule.checkWithoutUsers(host)) == nil {
                logger.warning(
                    "KV events are open to others, who need no password: they see hashes and times of all blocks",
                    metadata: ["host": "\(host)"]
                )
            }
            var (addresses, channels) = try await listen(listener, configuration)
            // When others can reach this node, and not before.
            try await cluster?.start()
            addresses.eventsPort = eventPorts?.port
            addresses.eventsReplayPort = eventPorts?.replayPort
            do {
                addresses.controlPort = try await control?.start(
                    services,
                    address: addresses.port.map { "\(configuration.host):\($0)" } ?? ""
                )
            } catch {
                for channel in channels { try? await channel.close() }
                if let path = addresses.unixPath { UnixSocket.remove(path) }
                throw error
            }
            let prefault = Prefault(store, isWanted: configuration.prefaults, logger: logger)
            logger.info(
                "listening",
                metadata: [
                    "host": "\(addresses.host ?? "none")", "port": "\(addresses.port ?? 0)",
                    "unix": "\(addresses.unixPath ?? "none")", "lm_port": "\(addresses.lmPort ?? 0)",
                    "events_port": "\(addresses.eventsPort ?? 0)",
                    "control_port": "\(addresses.controlPort ?? 0)", "threads": "\(threadCount)",
                ]
            )
            return RunningNode(
                services: services,
                addresses: addresses,
                group: group,
                keepers: Array(keepers.values),
                channels: channels,
                control: control,
                prefault: prefault,
                logger: logger
            )
        } catch {
            await control?.stop()
            services.authenticator?.stop()
            await cluster?.stop(leaves: true)
            await events?.stop()
            try? await group.shutdownGracefully()
            await Blocking.run { store.close() }
            throw error
        }
    }

    /// How long a node that stops waits for blocks on their way to other nodes: it keeps them itself afterwards.
    private static let transferLimit: Duration = .seconds(3)

    /// Ends everything in order: listeners, connections, store.
    func stop() async {
        logger.info("draining", metadata: ["connections": "\(services.counters.connectionsNow.value)"])
        control?.beginDraining()
        // A node that has drained is not coming back; the place of another is kept for its return.
        if let cluster = services.cluster {
            // What clients put here for other nodes goes to them while they can still be reached.
            let store = services.store
            store.refusePuts()
            _ = await Blocking.run { store.finishTransfers(within: Self.transferLimit) }
            await cluster.stop(leaves: cluster.drainProgress.phase == .done)
        }
        for channel in channels { try? await channel.close() }
        if let path = addresses.unixPath { UnixSocket.remove(path) }
        for keeper in keepers { keeper.eventLoop.execute { keeper.drain() } }
        await waitForConnections()
        await control?.stop()
        services.authenticator?.stop()
        prefault.stop()
        let store = services.store
        let limit = services.configuration.drainTimeout
        let logger = logger
        let unwritten = await Blocking.run {
            store.drain(within: limit) { blockCount, byteCount in
                logger.info(
                    "writing to disk",
                    metadata: ["blocks": "\(blockCount)", "bytes": "\(byteCount)"]
                )
            }
        }
        if unwritten > 0 {
            logger.warning("blocks were not written in time", metadata: ["blocks": "\(unwritten)"])
        }
        await services.events?.stop()
        for keeper in keepers { keeper.eventLoop.execute { keeper.stop() } }
        try? await group.shutdownGracefully()
        let statistics = store.statistics()
        await Blocking.run { store.close() }
        logger.info("stopped", metadata: ["unwritten_blocks": "\(unwritten)"])
        guard let path = store.memoryFileReport?.path else { return }
        logger.notice(
            "the RAM tier is kept for the next start",
            metadata: [
                "blocks": "\(statistics.integer("memory_blocks"))",
                "bytes": "\(statistics.integer("memory_claimed_bytes"))", "path": "\(path)",
                "give_back": "larder memory remove \(path)",
            ]
        )
    }

    /// Gives connections their time to finish, then closes what is left.
    private func waitForConnections() async {
        let clock = ContinuousClock()
        let end = clock.now + services.configuration.connectionDrainTimeout
        while services.counters.connectionsNow.value > 0, clock.now < end {
            try? await Task.sleep(for: .milliseconds(20))
        }
        for keeper in keepers { keeper.eventLoop.execute { keeper.closeAll() } }
    }

    private static func openStore(
        _ configuration: NodeConfiguration,
        watcher: (any BlockWatcher)?,
        clock: any CacheClock,
        logger: Logger
    ) async throws -> BlockStore {
        let opened = await Blocking.run { () -> Result<BlockStore, CacheError> in
            do throws(CacheError) {
                let directory = configuration.memoryFile.identityDirectory(
                    dataDirectory: configuration.dataDirectory
                )
                let secretFile = try directory.map(SecretFile.init(in:))
                for warning in secretFile?.warnings ?? [] { logger.warning("\(warning)") }
                if let path = secretFile?.setAsidePath {
                    logger.error(
                        "the node's secret was damaged: it was set aside, and no block on disk can be found any more",
                        metadata: ["path": "\(path)"]
                    )
                }
                var disk: DiskTierConfiguration?
                if let directory = configuration.dataDirectory, configuration.diskByteCount > 0 {
                    disk = DiskTierConfiguration(
                        directory: "\(directory)/blocks",
                        byteCountMax: configuration.diskByteCount,
                        blockCountMax: configuration.diskBlockCountMax,
                        onReopening: { log($0, logger) }
                    )
                }
                var storeConfiguration = StoreConfiguration()
                storeConfiguration.existsLease = configuration.existsLease
                storeConfiguration.packsMemory = configuration.packsMemory
                storeConfiguration.watcher = watcher
                storeConfiguration.isClustered = configuration.cluster != nil
                // Without users all clients are one tenant's; in a cluster, other nodes may have others.
                storeConfiguration.separatesNamespaces =
                    configuration.users != nil || configuration.cluster?.secret.isOpen == false
                if configuration.cluster == nil, configuration.users?.tenants.count == 1 {
                    storeConfiguration.namespacesPerTenantMax = storeConfiguration.namespaceCountMax
                }
                storeConfiguration.deletionCountMax = configuration.deletionCountMax
                var memory = MemoryTierConfiguration(
                    byteCount: configuration.memoryByteCount,
                    blockCountMax: configuration.memoryBlockCountMax,
                    prefaults: configuration.prefaults,
                    policy: configuration.memoryPolicy
                )
                memory.sharesWrites = configuration.sharesWrites
                if let directory, let secret = secretFile?.secret {
                    memory.file = try memoryFile(configuration, directory, secret, logger: logger)
                }
                return .success(
                    try BlockStore(
                        memory: memory,
                        disk: disk,
                        secret: secretFile?.secret ?? .random(),
                        directory: directory,
                        configuration: storeConfiguration,
                        clock: clock
                    )
                )
            } catch {
                return .failure(error)
            }
        }
        let store = try opened.get()
        if let report = store.diskOpenReport { log(report, logger) }
        if let report = store.memoryFileReport { log(report, logger) }
        return store
    }

    /// The memory file of this run, after files were removed that no node will ask for again; without one, says that the
    /// latest run had none.
    private static func memoryFile(
        _ configuration: NodeConfiguration,
        _ directory: String,
        _ secret: NodeSecret,
        logger: Logger
    ) throws(CacheError) -> MemoryFileConfiguration? {
        let runMark = RunMarkFile(in: directory)
        removeUnwantedFile(configuration, logger: logger)
        guard let path = configuration.memoryFile.path(dataDirectory: configuration.dataDirectory) else {
            if runMark.latest != nil { try runMark.forget() }
            return nil
        }
        for orphan in MemoryFileInventory.removeOrphans(
            in: MemoryFileChoice.folder,
            prefix: MemoryFileChoice.namePrefix
        ) {
            logger.notice(
                "removed the memory that a node left whose data directory is gone",
                metadata: [
                    "path": "\(orphan.path)", "data_dir": "\(orphan.owner ?? "")",
                    "bytes": "\(orphan.byteCount)",
                ]
            )
        }
        return MemoryFileConfiguration(
            path: path,
            owner: MemoryFileChoice.canonical(directory),
            secretFingerprint: secret.fingerprint,
            latestRun: runMark.latest,
            recordRun: { run in
                do throws(CacheError) {
                    try runMark.record(run)
                    return nil
                } catch {
                    return error
                }
            },
            onShortage: { byteCount in
                logger.warning(
                    "the memory file cannot grow any more: its file system is full, and the RAM tier stays as it is",
                    metadata: ["path": "\(path)", "bytes": "\(byteCount)"]
                )
            }
        )
    }

    /// Gives back what a run with another choice has left: nobody takes it back after this one.
    private static func removeUnwantedFile(_ configuration: NodeConfiguration, logger: Logger) {
        guard configuration.memoryFile != .automatic,
            let path = MemoryFileChoice.automatic.path(dataDirectory: configuration.dataDirectory),
            path != configuration.memoryFile.path(dataDirectory: configuration.dataDirectory),
            let removed = try? MemoryFileInventory.remove(path)
        else { return }
        logger.notice(
            "removed the memory that the run before kept, as --memory-file says",
            metadata: ["path": "\(path)", "bytes": "\(removed.byteCount)"]
        )
    }

    private static func log(_ report: MemoryFileReport, _ logger: Logger) {
        if let reason = report.unavailable {
            logger.warning(
                "blocks in RAM will not outlive this process",
                metadata: ["reason": "\(reason)"]
            )
        }
        if let reason = report.discarded {
            logger.warning(
                "the memory of the run before was not taken back, and the RAM tier starts empty",
                metadata: ["reason": "\(reason)"]
            )
        }
        guard report.isTakenBack else { return }
        logger.info(
            "memory taken back",
            metadata: [
                "blocks": "\(report.blockCount)", "bytes": "\(report.byteCount)",
                "expired_blocks": "\(report.expiredBlockCount)",
                "damaged_blocks": "\(report.damagedBlockCount)",
                "seconds": "\(report.seconds)",
            ]
        )
    }

    private static func log(_ reopening: DiskReopening, _ logger: Logger) {
        guard let path = reopening.setAsidePath else {
            logger.warning(
                "the disk refused a write and takes them again: the disk tier's database was opened anew",
                metadata: ["seconds": "\(reopening.seconds)"]
            )
            return
        }
        logger.error(
            "the disk tier's database could not be opened anew: it was set aside, and the tier goes on empty",
            metadata: ["path": "\(path)", "reason": "\(reopening.setAsideReason ?? "unknown")"]
        )
    }

    private static func log(_ report: DiskOpenReport, _ logger: Logger) {
        logger.info(
            "disk tier open",
            metadata: [
                "blocks": "\(report.blockCount)", "bytes": "\(report.byteCount)",
                "segments": "\(report.segmentCount)", "seconds": "\(report.seconds)",
            ]
        )
        if let path = report.setAsidePath {
            logger.error(
                "the disk tier's database could not be opened: it was set aside, and the node starts empty",
                metadata: ["path": "\(path)", "reason": "\(report.setAsideReason ?? "unknown")"]
            )
        }
        if report.missingDurableUnits > 0 || report.damagedUnits > 0 {
            logger.error(
                "the disk lost data that it had confirmed, or damaged it",
                metadata: [
                    "missing_units": "\(report.missingDurableUnits)",
                    "damaged_units": "\(report.damagedUnits)",
                    "distrusted_blocks": "\(report.distrustedBlocks)",
                ]
            )
        }
    }

    private static func listen(
        _ listener: Listener,
        _ configuration: NodeConfiguration
    ) async throws -> (BoundAddresses, [any Channel]) {
        var addresses = BoundAddresses()
        var channels: [any Channel] = []
        do {
            if let port = configuration.port {
                let host = configuration.host
                let address = try await Blocking.run {
                    Result { try SocketAddress.makeAddressResolvingHost(host, port: port) }
                }
                .get()
                if configuration.users == nil { try HostRule.checkWithoutUsers(address) }
                let channel = try await listener.listen(.redis, at: address)
                channels.append(channel)
                addresses.host = channel.localAddress?.ipAddress
                addresses.port = channel.localAddress?.port
            }
            if let port = configuration.lmPort {
                let channel = try await listener.listen(
                    .lm,
                    at: try SocketAddress(ipAddress: "127.0.0.1", port: port)
                )
                channels.append(channel)
                addresses.lmPort = channel.localAddress?.port
            }
            if let path = configuration.unixPath {
                channels.append(try await listener.listen(.redis, on: try UnixSocket.listen(at: path)))
                addresses.unixPath = path
            }
            return (addresses, channels)
        } catch {
            for channel in channels { try? await channel.close() }
            throw error
        }
    }
}

/// Calls that block, on threads that may.
enum Blocking {
    /// Runs `body` on a thread of the shared pool for blocking work.
    static func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            NIOThreadPool.singleton.submit { _ in continuation.resume(returning: body()) }
        }
    }
}

/// Claims the arena's pages in the background while the node serves already.
private final class Prefault: Sendable {
    private let isStopped = Atomic(false)

    init(_ store: BlockStore, isWanted: Bool, logger: Logger) {
        guard isWanted else { return }
        NIOThreadPool.singleton.submit { [self] _ in
            store.prefault { _ in !isStopped.load(ordering: .relaxed) }
            logger.debug("arena claimed")
        }
    }

    func stop() {
        isStopped.store(true, ordering: .relaxed)
    }
}

/// The process's limit of open files.
private enum FileLimit {
    /// Descriptors that the store, the listeners and the libraries take.
    private static let reserved = 512

    /// Raises the limit as far as it goes and returns how many connections fit.
    static func raise(wanted: Int, logger: Logger) -> Int {
        var limit = rlimit()
        // SAFETY: both calls read or write the one value they are given.
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return wanted
        }
        if limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max
            unsafe _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            unsafe _ = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        let fitting = max(16, Int(clamping: limit.rlim_cur) - reserved)
        if fitting < wanted {
            logger.warning(
                "fewer connections than configured: raise the limit of open files (ulimit -n)",
                metadata: ["connections": "\(fitting)", "wanted": "\(wanted)"]
            )
        }
        return min(wanted, fitting)
    }
}
