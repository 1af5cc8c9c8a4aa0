internal import Blocks
internal import Cluster
internal import Crypto
internal import Placement
internal import RESP

/// What clients are told of the cluster.
extension RedisConnection {
    /// KV.CLUSTER [VIEW | STATUS | DRAIN]
    func clusterView() {
        guard let cluster = services.cluster else {
            return fail("ERR this node is in no cluster: see larder serve --cluster")
        }
        if arguments.count == 1 || isSubcommand("view", 2) {
            replyView(cluster)
        } else if isSubcommand("status", 2) {
            guard session.user?.may(.operator) == true else {
                return fail("NOPERM figures of the whole node need the operator scope")
            }
            let figures = cluster.figures
            reply.map(figures.count)
            for figure in figures {
                reply.bulk(figure.name)
                reply.bulk(figure.value)
            }
        } else if isSubcommand("drain", 2) {
            guard session.user?.may(.operator) == true else {
                return fail("NOPERM this user has no permissions to run the 'kv.cluster|drain' command")
            }
            cluster.drain()
            reply.simple("OK")
        } else {
            failSubcommand("kv.cluster", ["view", "status", "drain"])
        }
    }

    /// [epoch, own name, [[name, host, port, control port, weight, state, up, silence in ms, slots, memory, disk] ...]]
    private func replyView(_ cluster: Cluster) {
        let reports = cluster.memberReports
        reply.array(3)
        reply.integer(Int(clamping: cluster.view.epoch))
        reply.bulk(cluster.own.name.description)
        reply.array(reports.count)
        for report in reports {
            let member = report.member
            reply.array(11)
            reply.bulk(member.name.description)
            reply.bulk(member.host)
            reply.integer(Int(member.port))
            reply.integer(Int(member.controlPort))
            reply.integer(Int(member.weight))
            reply.bulk(member.state.rawValue)
            reply.integer(report.isUp ? 1 : 0)
            reply.integer(report.silenceMilliseconds)
            reply.integer(report.slotCount)
            reply.integer(Int(clamping: member.memoryByteCount))
            reply.integer(Int(clamping: member.diskByteCount))
        }
    }

    /// CLUSTER INFO | MYID | KEYSLOT key | SLOTS | SHARDS | NODES
    ///
    /// Owners are those of database 0 and of blocks; a request at another node is answered all the same, never by MOVED.
    func redisCluster() {
        if isSubcommand("keyslot", 3) {
            guard arguments.isKey(at: 2) else { return fail("ERR \(Self.keyRule)") }
            return reply.integer(Int(Slot.of(arguments.key(at: 2))))
        }
        guard let cluster = services.cluster else {
            return fail("ERR This instance has cluster support disabled")
        }
        if isSubcommand("info", 2) {
            reply.verbatim(Self.information(cluster))
        } else if isSubcommand("myid", 2) {
            reply.bulk(Self.identifier(cluster.own.name))
        } else if isSubcommand("slots", 2) {
            replySlots(cluster)
        } else if isSubcommand("shards", 2) {
            replyShards(cluster)
        } else if isSubcommand("nodes", 2) {
            reply.verbatim(Self.nodes(cluster))
        } else {
            failSubcommand("cluster", ["info", "myid", "keyslot", "slots", "shards", "nodes"])
        }
    }

    private static func information(_ cluster: Cluster) -> String {
        let reports = cluster.memberReports
        let down = reports.filter { !$0.isUp }.reduce(0) { $0 + $1.slotCount }
        let fields: [(String, Int)] = [
            ("cluster_slots_assigned", reports.reduce(0) { $0 + $1.slotCount }),
            ("cluster_slots_ok", Slot.count - down), ("cluster_slots_pfail", down), ("cluster_slots_fail", 0),
            ("cluster_known_nodes", reports.count), ("cluster_size", reports.count { $0.slotCount > 0 }),
            ("cluster_current_epoch", Int(clamping: cluster.view.epoch)),
            ("cluster_my_epoch", Int(clamping: cluster.view.epoch)),
        ]
        return "cluster_enabled:1\r\ncluster_state:ok\r\n"
            + fields.map { "\($0.0):\($0.1)\r\n" }.joined()
    }

    /// A node's name as the 40 hexadecimal digits that clients of Redis Cluster expect.
    private static func identifier(_ name: NodeName) -> String {
        let digits = Array("0123456789abcdef")
        return SHA256.hash(data: Array(name.description.utf8)).prefix(20)
            .reduce(into: "") { text, byte in
                text.append(digits[Int(byte >> 4)])
                text.append(digits[Int(byte & 15)])
            }
    }

    private func replySlots(_ cluster: Cluster) {
        let runs = cluster.slotRuns
        reply.array(runs.count)
        for run in runs {
            reply.array(3)
            reply.integer(Int(run.slots.lowerBound))
            reply.integer(Int(run.slots.upperBound))
            reply.array(4)
            reply.bulk(run.owner.host)
            reply.integer(Int(run.owner.port))
            reply.bulk(Self.identifier(run.owner.name))
            reply.array(0)
        }
    }

    private func replyShards(_ cluster: Cluster) {
        let runs = cluster.slotRuns
        let reports = cluster.memberReports
        reply.array(reports.count)
        for report in reports {
            let own = runs.filter { $0.owner.name == report.member.name }
            reply.map(2)
            reply.bulk("slots")
            reply.array(own.count * 2)
            for run in own {
                reply.integer(Int(run.slots.lowerBound))
                reply.integer(Int(run.slots.upperBound))
            }
            reply.bulk("nodes")
            reply.array(1)
            reply.map(7)
            for (name, value) in [
                ("id", Self.identifier(report.member.name)), ("endpoint", report.member.host),
                ("ip", report.member.host), ("role", "master"), ("health", report.isUp ? "online" : "failed"),
            ] {
                reply.bulk(name)
                reply.bulk(value)
            }
            reply.bulk("port")
            reply.integer(Int(report.member.port))
            reply.bulk("replication-offset")
            reply.integer(0)
        }
    }

    private static func nodes(_ cluster: Cluster) -> String {
        let runs = cluster.slotRuns
        return cluster.memberReports.map { report in
            let member = report.member
            let flags = (report.isOwn ? "myself,master" : "master") + (report.isUp ? "" : ",fail?")
            let slots = runs.filter { $0.owner.name == member.name }
                .map { run in
                    run.slots.count == 1
                        ? "\(run.slots.lowerBound)" : "\(run.slots.lowerBound)-\(run.slots.upperBound)"
                }
            return
                ([
                    identifier(member.name), "\(member.host):\(member.port)@0", flags, "-", "0", "0",
                    "\(cluster.view.epoch)", report.isUp ? "connected" : "disconnected",
                ] + slots).joined(separator: " ") + "\n"
        }.joined()
    }
}
