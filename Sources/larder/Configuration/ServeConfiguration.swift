internal import Blocks
internal import ControlPlane
internal import Eviction
internal import KVEvents
internal import Logging
internal import Node

/// The settings of `larder serve` as the node takes them.
struct ServeConfiguration {
    let node: NodeConfiguration
    let logLevel: Logger.Level
    let logFormat: LogFormat

    /// Reads every setting as its type; the first that is wrong is named with its origin.
    ///
    /// Reads the users file when there is one, and nothing else.
    init(_ settings: ServeSettings) throws(CommandFailure) {
        logLevel = try settings.choice(.logLevel, of: Logger.Level.self)
        logFormat = try settings.choice(.logFormat, of: LogFormat.self)
        var node = NodeConfiguration()
        node.host = try settings.text(.host)
        node.port = try settings.count(.port, in: 0...65_535)
        node.unixPath = settings.optionalText(.unix)
        node.lmPort = try settings.optionalCount(.lmPort, in: 0...65_535)
        node.dataDirectory = settings.optionalText(.dataDir)
        node.memoryByteCount = try settings.byteCount(.memory, in: 16 << 20...16 << 40)
        node.memoryPolicy = try settings.choice(.memoryPolicy, of: EvictionPolicyName.self)
        node.memoryFile = try settings.memoryFile()
        node.packsMemory = try settings.choice(.memoryCodec, of: MemoryCodec.self) == .exponent
        node.diskByteCount = try settings.byteCount(.disk)
        let memoryBlocks = try settings.count(.memoryBlocks, in: 0...BlockCounts.memoryHighest)
        node.memoryBlockCountMax =
            memoryBlocks > 0 ? memoryBlocks : BlockCounts.memory(budget: node.memoryByteCount)
        let diskBlocks = try settings.count(.diskBlocks, in: 0...BlockCounts.diskHighest)
        node.diskBlockCountMax =
            diskBlocks > 0
            ? diskBlocks
            : BlockCounts.disk(budget: node.diskByteCount, machineMemory: SystemFacts.machineMemory)
        node.threadCount = try settings.count(.threads, in: 0...1_024)
        node.prefaults = try settings.isOn(.prefault)
        node.sharesWrites = try settings.isOn(.sharedWrites)
        node.drainTimeout = try settings.timeSpan(.drainTimeout).duration
        node.existsLease = try settings.timeSpan(.existsLease).duration
        node.limits.connectionCountMax = try settings.count(.connections, in: 1...1_000_000)
        node.limits.spaceTimeout = try settings.timeSpan(.putWait).duration
        node.limits.handshakeTimeout = try settings.timeSpan(.handshakeTimeout).duration
        node.limits.idleTimeout = try settings.timeSpan(.idleTimeout).duration
        node.events = try Self.events(settings)
        node.controlPort = try settings.optionalCount(.controlPort, in: 0...65_535)
        node.controlHost = try settings.text(.controlHost)
        node.controlTLS = try Self.controlTLS(settings)
        node.controlLimits.connectionCountMax = try settings.count(.controlConnections, in: 1...100_000)
        node.controlLimits.callCountMax = try settings.count(.controlCalls, in: 2...100_000)
        node.controlLimits.callsPerUserMax = node.controlLimits.callCountMax / 2
        if let key = node.controlTLS?.keyPath { node.warnIfOthersReach("the control plane's key", key) }
        if let path = settings.optionalText(.users) {
            node.users = try Self.users(at: path)
            node.warnIfOthersReach("the users file", path)
        } else if !Self.isLoopback(node.host) {
            throw CommandFailure(
                .configuration,
                "\(settings[.host].origin): a node on \(node.host) needs users; make a file with 'larder user add' "
                    + "and name it with --users, or listen on 127.0.0.1"
            )
        }
        if let path = settings.optionalText(.clusterSecret) {
            node.warnIfOthersReach("the cluster's secret", path)
        }
        node.cluster = try ClusterSettings.cluster(
            settings,
            node,
            logger: .standardError(label: "larder", level: logLevel, format: logFormat)
        )
        if node.users == nil, node.controlPort != nil, !Self.isLoopback(node.controlHost) {
            throw CommandFailure(
                .configuration,
                "\(settings[.controlHost].origin): a control plane on \(node.controlHost) needs users; make a file with "
                    + "'larder user add' and name it with --users, or listen on 127.0.0.1"
            )
        }
        self.node = node
    }

    private static func events(_ settings: ServeSettings) throws(CommandFailure) -> EventConfiguration? {
        let host = try settings.text(.eventsHost)
        let dialect = try settings.choice(.eventsDialect, of: EventDialect.self)
        let hashForm = try settings.choice(.eventsHashes, of: HashForm.self)
        let replayPort = try settings.optionalCount(.eventsReplayPort, in: 0...65_535)
        guard let port = try settings.optionalCount(.eventsPort, in: 0...65_535) else {
            guard replayPort == nil else {
                throw CommandFailure(
                    .configuration,
                    "\(settings[.eventsReplayPort].origin): there is nothing to repeat without --events-port"
                )
            }
            return nil
        }
        let podID = settings.optionalText(.eventsPod) ?? SystemFacts.hostName
        guard !podID.contains("@") else {
            throw CommandFailure(
                .configuration,
                "\(settings[.eventsPod].origin): '@' divides the parts of a topic and cannot be in a name"
            )
        }
        var events = EventConfiguration(port: port, podID: podID)
        events.host = host
        events.replayPort = replayPort
        events.dialect = dialect
        events.hashForm = hashForm
        return events
    }

    private static func controlTLS(_ settings: ServeSettings) throws(CommandFailure) -> ControlTLS? {
        let certificate = settings.optionalText(.controlTLSCertificate)
        let key = settings.optionalText(.controlTLSKey)
        let clientCA = settings.optionalText(.controlTLSClientCA)
        guard let certificate, let key else {
            let given: [ServeSetting] = [.controlTLSCertificate, .controlTLSKey, .controlTLSClientCA]
            guard let half = given.first(where: { settings.optionalText($0) != nil }) else { return nil }
            throw CommandFailure(
                .configuration,
                "\(settings[half].origin): TLS needs both --control-tls-cert and --control-tls-key"
            )
        }
        for path in [certificate, key] + (clientCA.map { [$0] } ?? []) { _ = try InputFile.text(at: path) }
        return ControlTLS(certificatePath: certificate, keyPath: key, clientCAPath: clientCA)
    }

    private static func users(at path: String) throws(CommandFailure) -> UserFile {
        let text = try InputFile.text(at: path)
        do throws(CacheError) {
            return try UserFile(parsing: text)
        } catch {
            throw CommandFailure(.configuration, "\(path): \(error.message)")
        }
    }

    /// Whether only this machine reaches the address.
    static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }
}
