import Blocks
import Logging
import TestSupport
import Tiering

@testable import Node

/// A small node in this process, on a free port and a Unix socket of its own.
final class TestNode: Sendable {
    let node: Node
    let addresses: BoundAddresses
    private let directory: TemporaryDirectory

    /// A figure of the store's; -1 when the node has stopped.
    func figure(_ name: String) -> Int {
        node.store?.statistics().integer(name) ?? -1
    }

    /// Starts a node of 64 MiB without a disk, changed by `change`, which gets the node's own directory.
    init(_ change: (inout NodeConfiguration, _ directory: String) -> Void = { _, _ in }) async throws {
        directory = try TemporaryDirectory()
        var configuration = NodeConfiguration()
        configuration.port = 0
        configuration.unixPath = "\(directory.path)/node.sock"
        configuration.lmPort = 0
        configuration.memoryByteCount = 64 << 20
        configuration.memoryBlockCountMax = 10_000
        configuration.threadCount = 2
        configuration.prefaults = false
        change(&configuration, directory.path)
        node = try Node(configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        addresses = try await node.start()
    }

    /// A connection to the RESP listener.
    func connect() throws -> WireClient {
        try WireClient(port: addresses.port ?? 0)
    }

    /// A connection to the Unix socket.
    func connectLocally() throws -> WireClient {
        try WireClient(path: addresses.unixPath ?? "")
    }

    /// A connection to the lm:// listener.
    func connectLM() throws -> WireClient {
        try WireClient(port: addresses.lmPort ?? 0)
    }

    /// The node's counters.
    var counters: NodeCounters {
        get throws {
            guard let services = node.services else { throw WireError(text: "the node has stopped") }
            return services.counters
        }
    }

    /// Runs `body` against a node, on threads that it may block, and stops the node whatever happens.
    @discardableResult
    static func with<Value>(
        _ change: (inout NodeConfiguration, _ directory: String) -> Void = { _, _ in },
        _ body: (TestNode) async throws -> Value
    ) async throws -> Value {
        try await withTaskExecutorPreference(BlockingExecutor.shared) {
            // From here on the executor's threads do the work.
            await Task.yield()
            let node = try await TestNode(change)
            do {
                let value = try await body(node)
                await node.node.drainAndStop()
                return value
            } catch {
                await node.node.drainAndStop()
                throw error
            }
        }
    }
}
