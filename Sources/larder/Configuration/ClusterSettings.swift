internal import Blocks
internal import Cluster
internal import Foundation
internal import LarderClient
internal import Logging
internal import Membership
internal import Node
internal import Placement

/// The settings of `larder serve` that make a node one of a cluster.
enum ClusterSettings {
    /// What the settings say, `nil` for a node that is alone.
    static func cluster(
        _ settings: ServeSettings,
        _ node: NodeConfiguration,
        logger: Logger
    ) throws(CommandFailure) -> ClusterConfiguration? {
        guard let source = settings.optionalText(.cluster) else { return nil }
        let own = try member(settings, node)
        var cluster = ClusterConfiguration(own: own, provider: try provider(source, settings, logger))
        if let path = settings.optionalText(.clusterSecret) {
            cluster.secret = try secret(at: path)
        } else if !ServeConfiguration.isLoopback(node.host) || !ServeConfiguration.isLoopback(own.host) {
            throw CommandFailure(
                .configuration,
                "\(settings[.cluster].origin): nodes of a cluster that others can reach need --cluster-secret: a file, the "
                    + "same for all; make one with 'head -c 32 /dev/urandom | base64 > cluster.secret'"
            )
        }
        cluster.replicaCount = try settings.count(.replicas, in: 1...2)
        cluster.lookupTimeout = try settings.timeSpan(.peerLookupTimeout).duration
        cluster.loadTimeout = try settings.timeSpan(.peerLoadTimeout).duration
        cluster.joinTimeout = try settings.timeSpan(.joinTimeout).duration
        if let users = node.users { cluster.tenants = Array(users.tenants) }
        return cluster
    }

    private static func member(
        _ settings: ServeSettings,
        _ node: NodeConfiguration
    ) throws(CommandFailure) -> Member {
        let name = settings.optionalText(.nodeName) ?? SystemFacts.hostName
        guard let nodeName = NodeName(name) else {
            throw CommandFailure(
                .configuration,
                "\(settings[.nodeName].origin): '\(name)' is no name of 1 to \(NodeName.characterCountMax) letters, digits, "
                    + "dots, hyphens and underscores"
            )
        }
        let advertised = settings.optionalText(.advertise) ?? "\(node.host):\(node.port ?? 0)"
        guard case .tcp(let host, let port)? = LarderEndpoint(advertised), port > 0 else {
            throw CommandFailure(
                .configuration,
                "\(settings[.advertise].origin): '\(advertised)' is no HOST:PORT that others can reach"
            )
        }
        guard host != "0.0.0.0", host != "::" else {
            throw CommandFailure(
                .configuration,
                "\(settings[.host].origin): others cannot reach \(host); say with --advertise HOST:PORT where this node is"
            )
        }
        let weight = try settings.count(.weight, in: 0...Int(Member.weightMax))
        let memoryGiB = max(1, (node.memoryByteCount + (1 << 29)) >> 30)
        return Member(
            name: nodeName,
            host: host,
            port: port,
            controlPort: UInt16(clamping: node.controlPort ?? 0),
            weight: UInt32(clamping: weight == 0 ? memoryGiB : weight),
            state: .joining,
            run: UInt64(Date().timeIntervalSince1970 * 1_000),
            memoryByteCount: UInt64(node.memoryByteCount),
            diskByteCount: node.dataDirectory == nil ? 0 : UInt64(node.diskByteCount)
        )
    }

    private static func provider(
        _ source: String,
        _ settings: ServeSettings,
        _ logger: Logger
    ) throws(CommandFailure) -> any MembershipProvider {
        if source.hasPrefix("static:") { return StaticMembership(try members(source, settings)) }
        guard source.hasPrefix("etcd://") || source.hasPrefix("etcds://") else {
            throw CommandFailure(
                .configuration,
                "\(settings[.cluster].origin): a cluster is etcd://HOST:PORT/PREFIX or static:NAME=HOST:PORT,..."
            )
        }
        let files = [ServeSetting.etcdCA, .etcdCert, .etcdKey].map { settings.optionalText($0) }
        let memberTTL = try settings.timeSpan(.memberTTL).duration
        do throws(CacheError) {
            let tls =
                try files.contains { $0 != nil }
                ? EtcdTLSFiles(authorities: files[0], certificate: files[1], key: files[2]) : nil
            let configuration = try EtcdConfiguration(
                url: source,
                passwordFile: settings.optionalText(.etcdPasswordFile),
                tls: tls,
                memberTTL: memberTTL
            )
            return EtcdMembership(configuration, logger: logger)
        } catch {
            throw CommandFailure(.configuration, "\(settings[.cluster].origin): \(error.message)")
        }
    }

    /// Reads `static:NAME=HOST:PORT[*WEIGHT],...`.
    private static func members(
        _ source: String,
        _ settings: ServeSettings
    ) throws(CommandFailure) -> [Member] {
        var members: [Member] = []
        for part in source.dropFirst("static:".count).split(separator: ",") {
            let sides = part.split(separator: "=", maxSplits: 1)
            let places = sides.last?.split(separator: "*", maxSplits: 1) ?? []
            guard sides.count == 2, let name = NodeName(sides[0]), let place = places.first,
                case .tcp(let host, let port)? = LarderEndpoint(String(place)),
                let weight = places.count == 2 ? UInt32(places[1]) : 1, weight > 0
            else {
                throw CommandFailure(
                    .configuration,
                    "\(settings[.cluster].origin): '\(part)' is not NAME=HOST:PORT or NAME=HOST:PORT*WEIGHT"
                )
            }
            guard !members.contains(where: { $0.name == name }) else {
                throw CommandFailure(.configuration, "\(settings[.cluster].origin): \(name) is there twice")
            }
            members.append(Member(name: name, host: host, port: port, weight: weight))
        }
        guard !members.isEmpty else {
            throw CommandFailure(.configuration, "\(settings[.cluster].origin): the list names no node")
        }
        return members
    }

    private static func secret(at path: String) throws(CommandFailure) -> ClusterSecret {
        let text = try InputFile.text(at: path)
        do throws(CacheError) {
            return try ClusterSecret(Array(text.trimmingCharacters(in: .whitespacesAndNewlines).utf8))
        } catch {
            throw CommandFailure(.configuration, "\(path): \(error.message)")
        }
    }
}
