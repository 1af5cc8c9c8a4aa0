internal import ArgumentParser
internal import Blocks
internal import Cluster
internal import LarderClient
internal import Logging
internal import Membership
internal import MemoryTier
internal import NIOCore
internal import Node
internal import Placement

#if canImport(Glibc)
    internal import Glibc
#endif

/// `larder serve`.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run a node: keep blocks in RAM and on disk, and serve them.",
        discussion: """
            Without --data-dir blocks live in RAM only. With it, what RAM cannot hold goes to disk, and a restarted \
            node serves from disk at once:

              larder serve --memory 8GiB --data-dir /var/lib/larder --disk 200GiB

            Any Redis client can talk to the node; so can LMCache (redis://, valkey://, and lm:// on --lm-port).

            SETTINGS come from flags, then LARDER_* environment variables, then the YAML file of --config, then \
            defaults; a name that is no setting is refused. The file uses the flags' names:

              memory: 8GiB
              data-dir: /var/lib/larder
              disk: 200GiB

            RESTARTS: with a data directory, RAM is a file in /dev/shm that outlives the process: the next start, after an \
            upgrade, SIGTERM or a crash, has its blocks in RAM at once. --memory-file says where, or off; 'larder memory \
            list' shows such files and 'larder memory remove' gives their memory back.

            'larder serve --print-config' shows each value and where it comes from.

            SIZES are 2GiB, 512MiB (powers of 1,024) or 2GB, 512MB (powers of 1,000). TIMES are 500ms, 30s, 5m, 1h.

            KV EVENTS: --events-port tells routers which blocks a node holds, as vLLM's engines do: a block is announced \
            when it can be read, and taken back when it has left RAM (medium CPU) or disk (STORAGE). Before \
            the first block of a run, what was told before is voided; blocks that are on disk from before are \
            announced when a client first uses their namespace. Only namespaces made by KV.DESCRIBE are told of.

            CLUSTER: with --cluster several nodes are one cache, and any of them answers for all. Each key has an owner; what \
            a node is asked for and does not own it fetches once and keeps a copy of. Nodes find each other by etcd, or by a \
            list that is the same for all:

              larder serve --cluster etcd://127.0.0.1:2379/prod --node-name a --advertise 10.0.0.1:7379 \
                --cluster-secret cluster.secret ...
              larder serve --cluster static:a=127.0.0.1:7001,b=127.0.0.1:7002 --node-name a --port 7001

            'larder cluster status' shows who is there, 'larder cluster drain' hands a node's blocks over before it goes.

            CONTROL PLANE: --control-port serves larder.v1 and grpc.health.v1 over gRPC, as proto/ describes them: match by \
            tokens, pin, warm, clear, figures, events with replay, blocks in and out. With --users, calls carry \
            'authorization: Basic ...'; with --control-tls-cert and --control-tls-key it speaks TLS, and with \
            --control-tls-client-ca to clients with a certificate alone.

            SIGNALS: SIGTERM or SIGINT stops accepting, writes RAM to disk within --drain-timeout and exits 0; a \
            second one exits 1 at once. SIGHUP is ignored.
            """
    )

    @OptionGroup var options: SettingOptions
    @Flag(help: "Print each setting with its value and origin, and exit.")
    var printConfig = false
    @Option(help: ArgumentHelp("How --print-config prints: table, json or jsonl.", valueName: "format"))
    var output: OutputFormat = .table
    @Flag(
        help:
            "Start even when this machine does not have the memory or the disk space of --memory and --disk."
    )
    var force = false

    func run() async throws {
        let settings = try options.resolve()
        let configuration = try ServeConfiguration(settings)
        if printConfig {
            try StandardStreams.output(settings.report.render(output))
            return
        }
        if !force { try MachineCheck.refuse(configuration.node, settings) }
        try await serve(configuration, settings)
    }

    private func serve(
        _ configuration: ServeConfiguration,
        _ settings: ServeSettings
    ) async throws(CommandFailure) {
        let signals = TerminationSignals()
        let logger = Logger.standardError(
            label: "larder",
            level: configuration.logLevel,
            format: configuration.logFormat
        )
        for (given, needed) in settings.ineffective {
            logger.warning(
                "a setting has no effect",
                metadata: ["setting": "\(given)", "needs": "\(needed)"]
            )
        }
        for name in settings.ignoredNames {
            logger.warning(
                "a variable that Kubernetes makes of a service named larder is ignored: set enableServiceLinks: false in the pod",
                metadata: ["variable": "\(name)"]
            )
        }
        let trim = HeapTrim()
        defer { trim.stop() }
        let (node, addresses) = try await start(configuration.node, logger: logger)
        var fields = Self.readyFields(addresses, configuration.node)
        if let report = node.memoryFileReport, report.path != nil {
            fields["recovered_blocks"] = "\(report.blockCount)"
            fields["recovered_bytes"] = "\(report.byteCount)"
            fields["recovery_seconds"] = "\(Rate.decimals(report.seconds, 3))"
        }
        logger.notice("ready", metadata: fields)
        for await name in signals.first {
            logger.notice(
                "draining",
                metadata: ["signal": "\(name)", "limit": "\(configuration.node.drainTimeout)"]
            )
        }
        await node.drainAndStop()
        logger.notice("stopped")
    }

    private func start(
        _ configuration: NodeConfiguration,
        logger: Logger
    ) async throws(CommandFailure) -> (Node, BoundAddresses) {
        do {
            let node = try Node(configuration, logger: logger)
            return (node, try await node.start())
        } catch let error as CacheError {
            throw CommandFailure(
                error.code == .invalidArgument ? .configuration : .unavailable,
                error.message
            )
        } catch let error as IOError {
            throw Self.failure(error, configuration)
        } catch {
            throw CommandFailure(.unavailable, "the node cannot start: \(error)")
        }
    }

    private static func failure(_ error: IOError, _ configuration: NodeConfiguration) -> CommandFailure {
        let place = "\(configuration.host):\(configuration.port ?? 0)"
        switch error.errnoCode {
        case EADDRINUSE:
            return CommandFailure(
                .unavailable,
                "\(place) or another listener's address is taken: stop its owner (see 'ss -ltnp'), or choose "
                    + "another --port, --lm-port, --events-port, --control-port or --unix"
            )
        case EADDRNOTAVAIL:
            return CommandFailure(
                .configuration,
                "\(configuration.host) is no address of this machine; see --host"
            )
        case EACCES:
            return CommandFailure(
                .noPermission,
                "not allowed to listen on \(place): ports below 1024 need root"
            )
        default:
            return CommandFailure(
                .unavailable,
                "cannot listen on \(place): \(SystemMessage.text(error.errnoCode))"
            )
        }
    }

    private static func readyFields(_ addresses: BoundAddresses, _ node: NodeConfiguration) -> Logger.Metadata
    {
        var fields: Logger.Metadata = [
            "version": "\(Version.text)", "pid": "\(getpid())",
            "memory": "\(ByteCount(bytes: node.memoryByteCount).exactText)",
        ]
        if let host = addresses.host, let port = addresses.port {
            fields["address"] = "\(LarderEndpoint.tcp(host: host, port: UInt16(clamping: port)))"
            fields["port"] = "\(port)"
        }
        if let path = addresses.unixPath { fields["unix"] = "\(path)" }
        if let port = addresses.lmPort { fields["lm_port"] = "\(port)" }
        if let port = addresses.eventsPort { fields["events_port"] = "\(port)" }
        if let port = addresses.eventsReplayPort { fields["events_replay_port"] = "\(port)" }
        if let cluster = node.cluster {
            fields["node"] = "\(cluster.own.name)"
            fields["cluster"] = "\(cluster.provider.status.source)"
        }
        if let port = addresses.controlPort { fields["control_port"] = "\(port)" }
        if let directory = node.dataDirectory, node.diskByteCount > 0 {
            fields["data_dir"] = "\(directory)"
            fields["disk"] = "\(ByteCount(bytes: node.diskByteCount).exactText)"
            fields["disk_blocks_max"] = "\(node.diskBlockCountMax)"
        } else {
            fields["disk"] = "off"
        }
        return fields
    }
}
