internal import Blocks
internal import Glibc
internal import MemoryTier
internal import RESP
internal import Tiering

extension RedisConnection {
    /// INFO [section ...]
    func info() {
        let asked = Set((1..<arguments.count).map { arguments.text(at: $0).lowercased() })
        let wantsAll = asked.isEmpty || !asked.isDisjoint(with: ["all", "default", "everything"])
        var text = ""
        for section in InfoSection.allCases where wantsAll || asked.contains(section.rawValue) {
            if !text.isEmpty { text += "\r\n" }
            text += "# \(section.rawValue.prefix(1).uppercased())\(section.rawValue.dropFirst())\r\n"
            for field in fields(of: section) { text += "\(field.name):\(field.value)\r\n" }
        }
        reply.verbatim(text)
    }

    private enum InfoSection: String, CaseIterable {
        case server, clients, memory, persistence, stats, replication, cluster, keyspace
    }

    private func fields(of section: InfoSection) -> [(name: String, value: String)] {
        switch section {
        case .server: serverFields
        case .clients:
            [
                (
                    "connected_clients",
                    String(isOperator ? counters.connectionsNow.value : visibleConnections.count)
                ),
                ("maxclients", String(limits.connectionCountMax)),
                ("blocked_clients", "0"),
            ]
        case .memory: memoryFields
        case .persistence:
            [
                ("loading", "0"), ("rdb_bgsave_in_progress", "0"), ("aof_enabled", "0"),
                ("memory_outlives_process", store.memoryFileReport?.path == nil ? "0" : "1"),
            ]
                + (isOperator
                    ? [("memory_recovered_blocks", String(store.memoryFileReport?.blockCount ?? 0))] : [])
        case .stats: statisticsFields
        case .replication:
            [
                ("role", "master"), ("connected_slaves", "0"), ("master_failover_state", "no-failover"),
                ("master_replid", services.runID),
                ("master_replid2", String(repeating: "0", count: 40)),
                ("master_repl_offset", "0"), ("second_repl_offset", "-1"), ("repl_backlog_active", "0"),
                ("repl_backlog_size", "1048576"), ("repl_backlog_first_byte_offset", "0"),
                ("repl_backlog_histlen", "0"),
            ]
        case .cluster: [("cluster_enabled", services.cluster == nil ? "0" : "1")]
        case .keyspace: keyspaceFields
        }
    }

    private var serverFields: [(name: String, value: String)] {
        let uptime = (store.clock.monotonicNanoseconds() &- services.startedAt) / 1_000_000_000
        return [
            ("redis_version", Self.redisVersion),
            ("redis_mode", services.cluster == nil ? "standalone" : "cluster"), ("server_name", "larder"),
            ("arch_bits", "64"), ("process_id", String(getpid())), ("run_id", services.runID),
            ("tcp_port", String(services.configuration.port ?? 0)), ("uptime_in_seconds", String(uptime)),
            ("uptime_in_days", String(uptime / 86_400)),
        ]
    }

    /// Whether the user may know what the whole node does: it tells one tenant of the others.
    private var isOperator: Bool { session.user?.may(.operator) == true }

    /// Others than operators see what their own tenant's blocks take.
    private var memoryFields: [(name: String, value: String)] {
        let statistics = store.statistics()
        let used =
            isOperator
            ? statistics.integer("memory_used_bytes")
            : session.user.map { store.memoryPayloadByteCount(of: $0.tenant) } ?? 0
        let arena = statistics.integer("memory_arena_bytes")
        return [
            ("used_memory", String(used)), ("used_memory_dataset", String(used)),
            ("maxmemory", String(arena)),
            ("maxmemory_policy", "allkeys-lru"), ("mem_allocator", "larder-arena"),
        ]
    }

    private var statisticsFields: [(name: String, value: String)] {
        guard isOperator else { return [] }
        let statistics = store.statistics()
        let hits = statistics.integer("hits_memory") + statistics.integer("hits_disk")
        let misses = statistics.fields.reduce(0) { sum, field in
            guard field.name.hasPrefix("misses_"), case .integer(let value) = field.value else { return sum }
            return sum + value
        }
        return [
            ("total_connections_received", String(counters.connectionsAccepted.value)),
            ("total_commands_processed", String(counters.commands.value)),
            ("total_net_input_bytes", String(counters.receivedBytes.value)),
            ("total_net_output_bytes", String(counters.sentBytes.value)),
            ("rejected_connections", String(counters.connectionsRefused.value)),
            ("expired_keys", String(statistics.integer("blocks_expired"))),
            ("evicted_keys", String(statistics.integer("memory_evicted_lost"))),
            ("keyspace_hits", String(hits)), ("keyspace_misses", String(misses)),
            ("total_error_replies", String(counters.errorReplies.value)),
        ] + (services.events?.counters.fields ?? []).map { ($0.name, String($0.value)) }
    }

    private var keyspaceFields: [(name: String, value: String)] {
        guard let user = session.user else { return [] }
        return (0..<Self.databaseCount).compactMap { database in
            let count = store.blockCount(space(of: user, database: database))
            return count > 0 ? ("db\(database)", "keys=\(count),expires=0,avg_ttl=0") : nil
        }
    }
}
