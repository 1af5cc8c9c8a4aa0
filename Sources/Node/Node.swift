package import Blocks
package import Logging

/// One cache node: the store, its listeners and the order in which they start and stop.
package final class Node: Sendable {
    /// What the node was told.
    package let configuration: NodeConfiguration
    private let logger: Logger

    /// Checks the configuration and opens nothing yet; throws `.invalidArgument` that says how to fix it.
    package init(_ configuration: NodeConfiguration, logger: Logger) throws(CacheError) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Opens the store and the listeners; returns once connections are accepted.
    package func start() async throws -> BoundAddresses {
        BoundAddresses()
    }

    /// Waits until the node has stopped: `drainAndStop` was called by someone else.
    package func run() async {
    }

    /// Stops accepting, finishes the commands under way, writes memory to disk within the drain time, closes.
    package func drainAndStop() async {
    }
}
