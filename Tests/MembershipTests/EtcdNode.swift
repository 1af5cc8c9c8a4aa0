import Blocks
import Logging
import Membership
import Placement
import Testing

/// A node as its cluster sees it: its membership and who listens to it.
struct EtcdNode {
    var member: Member
    let membership: EtcdMembership
    let recorder = MembershipRecorder()

    /// Shortest time to live that etcd grants.
    static let memberTTL: Duration = .seconds(2)

    /// A node that has not started.
    init(
        _ name: String,
        _ configuration: EtcdConfiguration,
        port: UInt16 = 7_379,
        run: UInt64 = 1
    ) throws(CacheError) {
        guard let name = NodeName(name) else { throw CacheError(.invalidArgument, "not a name") }
        member = Member(name: name, host: "127.0.0.1", port: port, run: run)
        membership = EtcdMembership(
            configuration,
            logger: Logger(label: name.description) { _ in SwiftLogNoOpLogHandler() }
        )
    }

    /// A node that has started.
    static func started(
        _ name: String,
        _ configuration: EtcdConfiguration,
        port: UInt16 = 7_379,
        run: UInt64 = 1
    ) async throws -> EtcdNode {
        let node = try EtcdNode(name, configuration, port: port, run: run)
        try await node.start()
        return node
    }

    /// Waits for as little as is certain on a slow processor.
    static func configuration(
        _ servers: String,
        passwordFile: String? = nil,
        tls: EtcdTLSFiles? = nil
    ) throws -> EtcdConfiguration {
        let scheme = tls == nil ? "etcd" : "etcds"
        var configuration = try EtcdConfiguration(
            url: "\(scheme)://\(servers)/test",
            passwordFile: passwordFile,
            tls: tls,
            memberTTL: memberTTL
        )
        configuration.callTimeout = .seconds(1)
        configuration.pauseMax = .milliseconds(500)
        return configuration
    }

    /// Starts it.
    func start() async throws { try await membership.start(member, recorder) }

    /// Tells the others another weight.
    mutating func change(weight: UInt32) {
        member.weight = weight
        membership.update(member)
    }

    /// The weight of a member in this node's list.
    func weight(of name: String) -> UInt32? {
        recorder.members.first { $0.name.description == name }?.weight
    }
}
