import Blocks
import Glibc
import Membership
import Placement

@testable import Cluster
@testable import Node

/// Nodes of one cluster in this process, each with a listener of its own; members are a static list.
final class TestCluster: Sendable {
    let nodes: [TestNode]
    let names: [NodeName]

    private init(_ nodes: [TestNode], _ names: [NodeName]) {
        self.nodes = nodes
        self.names = names
    }

    /// How a cluster of the tests differs from the usual one.
    struct Plan {
        var count = 3
        var replicaCount = 1
        /// The secret of each node.
        var secrets: [Int: ClusterSecret] = [:]
        /// Nodes that are started by the test itself.
        var late: Set<Int> = []
        var change: (inout NodeConfiguration, _ directory: String) -> Void = { _, _ in }
    }

    /// Runs `body` against a cluster whose nodes know each other, on threads that it may block.
    static func with(_ plan: Plan = Plan(), _ body: (TestCluster) async throws -> Void) async throws {
        try await withTaskExecutorPreference(BlockingExecutor.shared) {
            await Task.yield()
            let members = try members(count: plan.count)
            var nodes: [TestNode] = []
            do {
                for index in 0..<plan.count where !plan.late.contains(index) {
                    nodes.append(try await start(index, of: members, plan))
                }
                let cluster = TestCluster(nodes, members.map(\.name))
                if plan.secrets.isEmpty, plan.late.isEmpty { try await cluster.awaitEachOther() }
                try await body(cluster)
            } catch {
                for node in nodes { await node.node.drainAndStop() }
                throw error
            }
            for node in nodes { await node.node.drainAndStop() }
        }
    }

    /// Descriptions of nodes on ports that are free now.
    static func members(count: Int) throws -> [Member] {
        let sockets = try (0..<count).map { _ in try FreePort() }
        return try zip(0..., sockets).map { index, socket in
            guard let name = NodeName("node-\(index)") else { throw WireError(text: "no name") }
            return Member(name: name, host: "127.0.0.1", port: socket.port, run: UInt64(index + 1))
        }
    }

    /// Starts one node of a list.
    static func start(_ index: Int, of members: [Member], _ plan: Plan, state: Member.State = .active)
        async throws
        -> TestNode
    {
        try await TestNode { configuration, directory in
            configuration.port = Int(members[index].port)
            configuration.lmPort = nil
            var own = members[index]
            own.state = state
            var cluster = ClusterConfiguration(own: own, provider: StaticMembership(members))
            cluster.lookupTimeout = .seconds(2)
            cluster.loadTimeout = .seconds(5)
            cluster.heartbeatInterval = .milliseconds(100)
            cluster.replicaCount = plan.replicaCount
            if let secret = plan.secrets[index] { cluster.secret = secret }
            configuration.cluster = cluster
            plan.change(&configuration, directory)
        }
    }

    /// Waits until every node has heard every other.
    func awaitEachOther() async throws {
        try await Eventually.holds("the nodes know each other") {
            self.nodes.allSatisfy { node in
                guard let cluster = node.cluster else { return false }
                let reports = cluster.memberReports
                return reports.count == self.nodes.count
                    && cluster.peers.allSatisfy { $0.report != nil && !$0.isDown }
            }
        }
    }

    /// Keys of which each node owns some.
    static func keys(_ count: Int, _ prefix: String = "block") -> [String] {
        (0..<count).map { "\(prefix)-\($0)" }
    }

    /// The place among the nodes of the one that owns a key.
    func owner(of key: String) throws -> Int {
        let bytes = Array(key.utf8)
        let slot = unsafe Slot.of(bytes.span.bytes)
        guard let name = nodes.lazy.compactMap(\.cluster).first?.view.owner(of: slot)?.name,
            let index = names.firstIndex(of: name)
        else {
            throw WireError(text: "nobody owns \(key)")
        }
        return index
    }
}

extension TestNode {
    /// The node's part in its cluster.
    var cluster: Cluster? { node.services?.cluster }
}

/// A port that was free a moment ago.
private final class FreePort {
    let port: UInt16
    private let descriptor: CInt

    init() throws {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        self.descriptor = descriptor
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let outcome = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe bind(descriptor, address, length) == 0
                    ? unsafe getsockname(descriptor, address, &length) : -1
            }
        }
        guard outcome == 0 else { throw WireError(text: "no free port: \(errno)") }
        port = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(descriptor) }
}

/// Waits for what must become true.
enum Eventually {
    /// Looks again and again; throws after 20 seconds.
    static func holds(_ what: String, _ condition: () throws -> Bool) async throws {
        let clock = ContinuousClock()
        let end = clock.now + .seconds(20)
        while try !condition() {
            guard clock.now < end else { throw WireError(text: "still not so: \(what)") }
            try await Task.sleep(for: .milliseconds(10))
        }
    }
}
