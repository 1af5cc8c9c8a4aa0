import Blocks
import Logging
import MemoryTier
import Node
import TestSupport
import Testing
import Tiering

/// A node of 64 MiB in this process that listens on a Unix socket only.
final class LocalNode: Sendable {
    let unixPath: String
    private let node: Node
    private let directory: TemporaryDirectory

    private init(sharesWrites: Bool) throws {
        directory = try TemporaryDirectory()
        unixPath = "\(directory.path)/node.sock"
        var configuration = NodeConfiguration()
        configuration.port = nil
        configuration.unixPath = unixPath
        configuration.memoryByteCount = 64 << 20
        configuration.diskByteCount = 0
        configuration.prefaults = false
        configuration.sharesWrites = sharesWrites
        node = try Node(configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// Runs `body` against a node, and stops it whatever happens.
    static func with(
        sharesWrites: Bool = false,
        _ body: (LocalNode) async throws -> Void
    ) async throws {
        let local = try LocalNode(sharesWrites: sharesWrites)
        _ = try await local.node.start()
        do {
            try await body(local)
        } catch {
            await local.node.drainAndStop()
            throw error
        }
        await local.node.drainAndStop()
    }

    /// A figure of the store's; -1 when the node has stopped.
    func figure(_ name: String) -> Int { node.store?.statistics().integer(name) ?? -1 }

    /// Flips a bit of a stored payload behind everybody's back.
    func damage(_ key: RawSpan, of namespace: NamespaceID) throws {
        let store = try #require(node.store)
        let space = try #require(store.space(tenant: .default, namespace: namespace))
        guard case .memory(let lease) = store.lookup(space, key: key) else { throw NotThere() }
        unsafe UnsafeMutableRawBufferPointer(mutating: lease.payload)[0] ^= 1
    }

    struct NotThere: Error {}

    /// Waits until a figure is what it must become.
    func expectFigure(_ name: String, _ value: Int) async throws {
        let end = ContinuousClock.now + .seconds(10)
        while figure(name) != value, ContinuousClock.now < end { try await Task.sleep(for: .milliseconds(5)) }
        #expect(figure(name) == value)
    }
}
