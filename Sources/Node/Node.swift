package import Blocks
internal import Cluster
internal import DiskTier
package import Logging
package import MemoryTier
internal import NIOCore
internal import NIOPosix
internal import Synchronization
package import Tiering

/// One cache node: the store, its listeners and the order in which they start and stop.
///
/// ```swift
/// let node = try Node(configuration, logger: logger)
/// _ = try await node.start()
/// await node.run()              // until drainAndStop, called from a signal's handler
/// ```
package final class Node: Sendable {
    /// What the node was told.
    package let configuration: NodeConfiguration

    private enum State {
        case idle
        case starting
        case running(RunningNode)
        case stopping
        case stopped
    }

    private struct Guarded {
        var state = State.idle
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let logger: Logger
    private let clock: any CacheClock
    private let guarded = Mutex(Guarded())

    /// Checks the configuration and opens nothing yet; throws `.invalidArgument` that says how to fix it.
    package init(
        _ configuration: NodeConfiguration,
        logger: Logger,
        clock: any CacheClock = SystemClock()
    ) throws(CacheError) {
        guard configuration.port != nil || configuration.unixPath != nil else {
            throw CacheError(
                .invalidArgument,
                "the node listens nowhere: give a port or a Unix socket's path"
            )
        }
        if configuration.sharesWrites, configuration.users.map({ $0.tenants.count > 1 }) ?? false {
            throw CacheError(
                .invalidArgument,
                "--shared-writes lets a client write into every block in memory: it is for nodes of one tenant"
            )
        }
        if configuration.users != nil, configuration.cluster?.secret.isOpen == true {
            throw CacheError(
                .invalidArgument,
                "a node with users needs --cluster-secret: without it whoever reaches it could pass for another node, "
                    + "and speak for any tenant"
            )
        }
        if configuration.users == nil, configuration.port != nil {
            try HostRule.checkWithoutUsers(configuration.host)
        }
        if configuration.users == nil, configuration.controlPort != nil {
            try HostRule.checkWithoutUsers(configuration.controlHost)
        }
        self.configuration = configuration
        self.logger = logger
        self.clock = clock
    }

    /// The node's store, while it runs.
    package var store: BlockStore? { services?.store }

    /// What opening the memory file came to, while it runs; `nil` when none was wanted.
    package var memoryFileReport: MemoryFileReport? { services?.store.memoryFileReport }

    /// What the connections share, while it runs.
    var services: NodeServices? {
        guarded.withLock { guarded in
            if case .running(let running) = guarded.state { running.services } else { nil }
        }
    }

    /// Opens the store and the listeners; returns once connections are accepted.
    package func start() async throws -> BoundAddresses {
        let mayStart = guarded.withLock { guarded in
            guard case .idle = guarded.state else { return false }
            guarded.state = .starting
            return true
        }
        guard mayStart else { throw CacheError(.invalidArgument, "a node starts once") }
        do {
            let running = try await RunningNode.start(configuration, clock: clock, logger: logger)
            guarded.withLock { $0.state = .running(running) }
            return running.addresses
        } catch {
            finish()
            throw error
        }
    }

    /// Waits until the node has stopped: `drainAndStop` was called by someone else.
    package func run() async {
        await withCheckedContinuation { continuation in
            let isOver = guarded.withLock { guarded in
                if case .stopped = guarded.state { return true }
                guarded.waiting.append(continuation)
                return false
            }
            if isOver { continuation.resume() }
        }
    }

    /// Stops accepting, finishes the commands under way, writes memory to disk within the drain time, closes.
    ///
    /// A second call waits for the first.
    package func drainAndStop() async {
        let running = guarded.withLock { guarded -> RunningNode? in
            switch guarded.state {
            case .running(let running):
                guarded.state = .stopping
                return running
            case .idle:
                guarded.state = .stopped
                return nil
            case .starting, .stopping, .stopped:
                return nil
            }
        }
        guard let running else { return await run() }
        await running.stop()
        finish()
    }

    private func finish() {
        let waiting = guarded.withLock { guarded in
            guarded.state = .stopped
            defer { guarded.waiting = [] }
            return guarded.waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}
