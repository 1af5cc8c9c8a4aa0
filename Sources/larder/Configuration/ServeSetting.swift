internal import Eviction

/// One setting of `larder serve`.
///
/// Its name is the same everywhere: `memory` in the YAML file, `--memory` on the command line, `LARDER_MEMORY` in
/// the environment.
enum ServeSetting: String, CaseIterable, Sendable {
    case host
    case port
    case unix
    case lmPort = "lm-port"
    case dataDir = "data-dir"
    case memory
    case memoryPolicy = "memory-policy"
    case memoryBlocks = "memory-blocks"
    case memoryCodec = "memory-codec"
    case memoryFile = "memory-file"
    case disk
    case diskBlocks = "disk-blocks"
    case users
    case cluster
    case nodeName = "node-name"
    case advertise
    case memberTTL = "member-ttl"
    case etcdPasswordFile = "etcd-password-file"
    case etcdCA = "etcd-ca"
    case etcdCert = "etcd-cert"
    case etcdKey = "etcd-key"
    case clusterSecret = "cluster-secret"
    case weight
    case replicas
    case peerLookupTimeout = "peer-lookup-timeout"
    case peerLoadTimeout = "peer-load-timeout"
    case joinTimeout = "join-timeout"
    case eventsPort = "events-port"
    case eventsReplayPort = "events-replay-port"
    case eventsHost = "events-host"
    case eventsDialect = "events-dialect"
    case eventsHashes = "events-hashes"
    case eventsPod = "events-pod"
    case controlPort = "control-port"
    case controlHost = "control-host"
    case controlTLSCertificate = "control-tls-cert"
    case controlTLSKey = "control-tls-key"
    case controlTLSClientCA = "control-tls-client-ca"
    case controlConnections = "control-connections"
    case controlCalls = "control-calls"
    case threads
    case connections
    case putWait = "put-wait"
    case handshakeTimeout = "handshake-timeout"
    case idleTimeout = "idle-timeout"
    case existsLease = "exists-lease"
    case sharedWrites = "shared-writes"
    case prefault
    case drainTimeout = "drain-timeout"
    case logLevel = "log-level"
    case logFormat = "log-format"

    /// The setting's name in the environment.
    var environmentName: String {
        "LARDER_" + rawValue.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
    }

    /// The value when nobody says otherwise, as it would be written; `nil` is "off".
    var defaultText: String? {
        switch self {
        case .host: "127.0.0.1"
        case .port: "7379"
        case .unix, .lmPort, .dataDir, .users, .eventsPort, .eventsReplayPort, .eventsPod: nil
        case .cluster, .nodeName, .advertise, .clusterSecret, .etcdPasswordFile, .etcdCA, .etcdCert, .etcdKey:
            nil
        case .memberTTL: "30s"
        case .weight: "0"
        case .memoryBlocks, .diskBlocks: "0"
        case .replicas: "1"
        case .peerLookupTimeout: "100ms"
        case .peerLoadTimeout: "1s"
        case .joinTimeout: "10m"
        case .controlPort, .controlTLSCertificate, .controlTLSKey, .controlTLSClientCA: nil
        case .controlHost: "127.0.0.1"
        case .controlConnections: "64"
        case .controlCalls: "256"
        case .memory: "2GiB"
        case .memoryPolicy: "forecast"
        case .memoryCodec: "none"
        case .memoryFile: "auto"
        case .disk: "10GiB"
        case .sharedWrites: "false"
        case .prefault: "true"
        case .eventsHost: "127.0.0.1"
        case .eventsDialect: "map"
        case .eventsHashes: "bytes"
        case .threads: "0"
        case .connections: "10000"
        case .putWait: "2s"
        case .handshakeTimeout: "2s"
        case .idleTimeout: "0"
        case .existsLease: "5s"
        case .drainTimeout: "30s"
        case .logLevel: "info"
        case .logFormat: "auto"
        }
    }

    /// What the setting does, for the help.
    var summary: String {
        switch self {
        case .host: "Address to listen on. Any but a loopback address needs --users."
        case .port: "TCP port; 0 takes a free one and says which."
        case .unix: "Also listen on this Unix socket."
        case .lmPort:
            "Also speak LMCache's lm:// protocol on this port; always loopback, as it knows no passwords."
        case .dataDir:
            "Directory for the disk tier and the node's secret; without one blocks live in RAM only."
        case .memory:
            "RAM for blocks, at least 16MiB; the process stays within 256MiB above it, beside --disk-blocks."
        case .memoryPolicy:
            "Which block leaves a full RAM: \(EvictionPolicyName.list). See 'larder trace simulate'."
        case .memoryFile:
            "Where RAM outlives the process: auto is a file in /dev/shm beside a data directory, off is nowhere, or a path on a tmpfs."
        case .memoryCodec:
            "exponent: code blocks when a quarter of RAM is left, losslessly, so that it holds about 1.4 times as many; "
                + "reading one takes some 0.4 ms a MiB more. none: keep all of them as they came."
        case .disk: "Disk space for blocks; 0 turns the disk tier off."
        case .memoryBlocks:
            "Most blocks in RAM, some 160 bytes of memory each; 0 is one for every 32KiB, at least 500000. A node that starts with another count starts with an empty RAM."
        case .diskBlocks:
            "Most blocks on disk, some 112 bytes of memory each; 0 is one for every 2KiB of --disk, at least 1000000, within a 16th of the machine's memory."
        case .users: "File of users and passwords, made by 'larder user add'."
        case .cluster:
            "Be one node of a cluster: etcd://HOST:PORT/PREFIX, or static:NAME=HOST:PORT,NAME=HOST:PORT,... for a fixed list."
        case .nodeName:
            "The node's name in its cluster, which it keeps over restarts; the host's name unless given."
        case .advertise:
            "HOST:PORT at which clients and other nodes reach this one; --host and --port unless given."
        case .memberTTL:
            "How long a node that stopped or is cut off from etcd keeps its place, 2s to 1h: longer than a restart takes."
        case .etcdPasswordFile:
            "File whose first line is the password of the user in --cluster etcd://USER@..."
        case .etcdCA: "Certificates that etcd's own is proved by, for etcds://; the system's unless given."
        case .etcdCert: "This node's certificate for etcd, for etcds://."
        case .etcdKey: "The key of --etcd-cert."
        case .clusterSecret:
            "File with the secret that the nodes of a cluster prove themselves with; needed on any but a loopback address."
        case .weight:
            "How much of the cluster's blocks this node owns, against the others' weights; 0 is its RAM in GiB."
        case .replicas: "How many nodes keep pinned and hot blocks: 1 or 2."
        case .peerLookupTimeout:
            "How long another node may take to say what it holds; keep it below your clients' own deadline."
        case .peerLoadTimeout:
            "How long another node may take to send blocks; keep it below your clients' own deadline."
        case .joinTimeout:
            "How long a node that joins waits at most for the blocks that the others hand over."
        case .eventsPort:
            "Publish KV events for routers on this port, as vLLM does: a ZeroMQ PUB socket; 0 takes a free one."
        case .eventsReplayPort: "Repeat KV events on this port: a ZeroMQ ROUTER socket."
        case .eventsHost:
            "Address of both. They know no users: who reaches them sees hashes and times of all tenants' blocks, no bytes."
        case .eventsDialect: "map, as vLLM has them now, or array, as older routers read them."
        case .eventsHashes: "Block hashes as bytes, or as int64: their low 64 bits."
        case .eventsPod: "The node's name in topics, kv@POD@MODEL; the host's name unless given."
        case .controlPort:
            "Serve the typed control plane over gRPC on this port: larder.v1 and grpc.health.v1; 0 takes a free one."
        case .controlHost: "Address of the control plane. Any but a loopback address needs --users."
        case .controlTLSCertificate:
            "Certificate of the control plane, in PEM, with those up to its root; off is no TLS."
        case .controlTLSKey: "Private key of that certificate, in PEM."
        case .controlTLSClientCA:
            "Ask the control plane's clients for a certificate too: one that leads to those in this file, in PEM."
        case .controlConnections:
            "Most connections of the control plane; one more closes the oldest that no user has made a call on."
        case .controlCalls:
            "Most calls of users at a time on the control plane; one user may have half of them."
        case .threads: "Event-loop threads; 0 is one per core."
        case .connections: "Most connections at a time."
        case .putWait: "How long a put waits for space or for the disk before it is refused."
        case .handshakeTimeout: "Time a new connection has to authenticate, when there are users."
        case .idleTimeout: "Close connections that were silent this long; 0 never does."
        case .existsLease: "How long a key that EXISTS reported stays readable; 0 gives no lease."
        case .sharedWrites:
            "Let clients on the Unix socket write blocks in place; they can then write anywhere in the RAM tier."
        case .prefault: "Claim all memory at the start, so that no request pays for it."
        case .drainTimeout: "Time to write RAM to disk after SIGTERM, before the process ends all the same."
        case .logLevel: "Least severe log line written: trace, debug, info, notice, warning, error, critical."
        case .logFormat: "text, json, or auto: text on a terminal, JSON lines otherwise."
        }
    }

    /// The kind of value, as a placeholder in the help.
    var placeholder: String {
        switch self {
        case .host: "address"
        case .cluster: "etcd://...|static:..."
        case .nodeName: "name"
        case .advertise: "host:port"
        case .clusterSecret, .etcdPasswordFile, .etcdCA, .etcdCert, .etcdKey: "file"
        case .weight, .replicas, .memoryBlocks, .diskBlocks: "count"
        case .memberTTL, .peerLookupTimeout, .peerLoadTimeout, .joinTimeout: "time"
        case .port, .lmPort, .eventsPort, .eventsReplayPort: "port"
        case .controlPort: "port"
        case .eventsHost, .controlHost: "address"
        case .controlTLSCertificate, .controlTLSKey, .controlTLSClientCA: "file"
        case .eventsDialect: "map|array"
        case .eventsHashes: "bytes|int64"
        case .eventsPod: "name"
        case .unix: "path"
        case .dataDir: "directory"
        case .users: "file"
        case .memory, .disk: "bytes"
        case .memoryPolicy, .memoryCodec: "name"
        case .memoryFile: "auto|off|path"
        case .prefault, .sharedWrites: "true|false"
        case .threads, .connections, .controlConnections, .controlCalls: "count"
        case .putWait, .handshakeTimeout, .idleTimeout, .existsLease, .drainTimeout: "time"
        case .logLevel: "level"
        case .logFormat: "format"
        }
    }
}
