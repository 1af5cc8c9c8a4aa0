internal import ArgumentParser
internal import Foundation

/// The command-line options that `serve` and `doctor` share: one per setting.
struct SettingOptions: ParsableArguments {
    @Option(help: .of(.host)) var host: String?
    @Option(help: .of(.port)) var port: String?
    @Option(help: .of(.unix)) var unix: String?
    @Option(help: .of(.lmPort)) var lmPort: String?
    @Option(help: .of(.dataDir)) var dataDir: String?
    @Option(help: .of(.memory)) var memory: String?
    @Option(help: .of(.memoryPolicy)) var memoryPolicy: String?
    @Option(help: .of(.memoryBlocks)) var memoryBlocks: String?
    @Option(help: .of(.memoryCodec)) var memoryCodec: String?
    @Option(help: .of(.memoryFile)) var memoryFile: String?
    @Option(help: .of(.disk)) var disk: String?
    @Option(help: .of(.diskBlocks)) var diskBlocks: String?
    @Option(help: .of(.users)) var users: String?
    @Option(help: .of(.cluster)) var cluster: String?
    @Option(help: .of(.nodeName)) var nodeName: String?
    @Option(help: .of(.advertise)) var advertise: String?
    @Option(name: .customLong("member-ttl"), help: .of(.memberTTL)) var memberTTL: String?
    @Option(help: .of(.etcdPasswordFile)) var etcdPasswordFile: String?
    @Option(name: .customLong("etcd-ca"), help: .of(.etcdCA)) var etcdCA: String?
    @Option(help: .of(.etcdCert)) var etcdCert: String?
    @Option(help: .of(.etcdKey)) var etcdKey: String?
    @Option(help: .of(.clusterSecret)) var clusterSecret: String?
    @Option(help: .of(.weight)) var weight: String?
    @Option(help: .of(.replicas)) var replicas: String?
    @Option(help: .of(.peerLookupTimeout)) var peerLookupTimeout: String?
    @Option(help: .of(.peerLoadTimeout)) var peerLoadTimeout: String?
    @Option(help: .of(.joinTimeout)) var joinTimeout: String?
    @Option(help: .of(.eventsPort)) var eventsPort: String?
    @Option(help: .of(.eventsReplayPort)) var eventsReplayPort: String?
    @Option(help: .of(.eventsHost)) var eventsHost: String?
    @Option(help: .of(.eventsDialect)) var eventsDialect: String?
    @Option(help: .of(.eventsHashes)) var eventsHashes: String?
    @Option(help: .of(.eventsPod)) var eventsPod: String?
    @Option(help: .of(.controlPort)) var controlPort: String?
    @Option(help: .of(.controlHost)) var controlHost: String?
    @Option(help: .of(.controlTLSCertificate)) var controlTlsCert: String?
    @Option(help: .of(.controlTLSKey)) var controlTlsKey: String?
    @Option(name: .customLong("control-tls-client-ca"), help: .of(.controlTLSClientCA))
    var controlTLSClientCA: String?
    @Option(help: .of(.controlConnections)) var controlConnections: String?
    @Option(help: .of(.controlCalls)) var controlCalls: String?
    @Option(help: .of(.threads)) var threads: String?
    @Option(help: .of(.connections)) var connections: String?
    @Option(help: .of(.putWait)) var putWait: String?
    @Option(help: .of(.handshakeTimeout)) var handshakeTimeout: String?
    @Option(help: .of(.idleTimeout)) var idleTimeout: String?
    @Option(help: .of(.existsLease)) var existsLease: String?
    @Option(help: .of(.sharedWrites)) var sharedWrites: String?
    @Option(help: .of(.prefault)) var prefault: String?
    @Option(help: .of(.drainTimeout)) var drainTimeout: String?
    @Option(help: .of(.logLevel)) var logLevel: String?
    @Option(help: .of(.logFormat)) var logFormat: String?

    @Option(help: ArgumentHelp("YAML file with any of these settings by the same names.", valueName: "file"))
    var config: String?

    /// What the command line gave.
    var flags: [ServeSetting: String] {
        let given: [ServeSetting: String?] = [
            .host: host, .port: port, .unix: unix, .lmPort: lmPort, .dataDir: dataDir, .memory: memory,
            .memoryPolicy: memoryPolicy, .memoryCodec: memoryCodec, .memoryFile: memoryFile, .disk: disk,
            .memoryBlocks: memoryBlocks, .diskBlocks: diskBlocks,
            .cluster: cluster, .nodeName: nodeName, .advertise: advertise, .clusterSecret: clusterSecret,
            .memberTTL: memberTTL, .etcdPasswordFile: etcdPasswordFile, .etcdCA: etcdCA, .etcdCert: etcdCert,
            .etcdKey: etcdKey, .weight: weight, .replicas: replicas, .peerLookupTimeout: peerLookupTimeout,
            .peerLoadTimeout: peerLoadTimeout, .joinTimeout: joinTimeout,
            .eventsPort: eventsPort, .eventsReplayPort: eventsReplayPort, .eventsHost: eventsHost,
            .eventsDialect: eventsDialect, .eventsHashes: eventsHashes, .eventsPod: eventsPod,
            .controlPort: controlPort, .controlHost: controlHost, .controlTLSCertificate: controlTlsCert,
            .controlTLSKey: controlTlsKey, .controlTLSClientCA: controlTLSClientCA,
            .controlConnections: controlConnections, .controlCalls: controlCalls,
            .users: users, .threads: threads, .connections: connections, .putWait: putWait,
            .handshakeTimeout: handshakeTimeout, .idleTimeout: idleTimeout,
            .existsLease: existsLease, .sharedWrites: sharedWrites, .prefault: prefault,
            .drainTimeout: drainTimeout, .logLevel: logLevel,
            .logFormat: logFormat,
        ]
        return given.compactMapValues { $0 }
    }

    /// Merges flags, environment and file.
    func resolve(environment: [String: String] = ProcessInfo.processInfo.environment) throws(CommandFailure)
        -> ServeSettings
    {
        var file: ConfigurationFile?
        if let path = config ?? environment["LARDER_CONFIG"] {
            file = try ConfigurationFile(text: InputFile.text(at: path), path: path)
        }
        return try ServeSettings(flags: flags, environment: environment, file: file)
    }
}

extension ArgumentHelp {
    /// A setting's help: what it does, its default, its name in the environment.
    fileprivate static func of(_ setting: ServeSetting) -> ArgumentHelp {
        let fallback = setting.defaultText.map { "default: \($0); " } ?? ""
        return ArgumentHelp(
            "\(setting.summary) (\(fallback)\(setting.environmentName))",
            valueName: setting.placeholder
        )
    }
}
