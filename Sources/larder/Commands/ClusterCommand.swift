internal import ArgumentParser
internal import Blocks
internal import LarderClient

/// `larder cluster`.
struct ClusterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster",
        abstract: "Show who is in a cluster, and take nodes out of it.",
        discussion: """
              larder cluster status                          every node, as the one at --node sees it
              larder cluster status --output json
              larder cluster drain node-2                    hand its blocks over and show how far it is
              larder cluster drain --node 10.0.0.2:7379      the same for the node at an address

            A drained node has given all its blocks to their next owners: stopping it loses nothing.
            """,
        subcommands: [ClusterStatusCommand.self, ClusterDrainCommand.self]
    )
}

/// `larder cluster status`.
struct ClusterStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the nodes of a cluster, as one of them sees it.",
        discussion: """
            share is the part of the cluster's blocks that a node owns; heard says how long ago it last answered. --wait \
            returns when all nodes are up and active, for scripts that start a cluster. --ready fails with status 1 unless the \
            node that is asked is active, for readiness probes: one that joins or drains is not ready.

              larder cluster status --node 127.0.0.1:7001
              larder cluster status --wait 30s --nodes 3
              larder cluster status --ready --timeout 3s
            """
    )

    @OptionGroup var node: NodeOptions
    @Option(help: ArgumentHelp("Wait for so long until all nodes are up and active.", valueName: "time"))
    var wait: TimeSpan?
    @Option(help: ArgumentHelp("With --wait: how many nodes there shall be.", valueName: "count"))
    var nodes: Int?
    @Flag(help: "Fail unless the node that is asked is active.")
    var ready = false
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard nodes == nil || wait != nil else { throw ValidationError("--nodes needs --wait.") }
        if let nodes, nodes < 1 { throw ValidationError("--nodes is at least 1.") }
    }

    func run() async throws {
        guard let wait else {
            let members = try await node.withNode { try await $0.clusterView() }
            try output.print(Self.report(members))
            return try checkReady(members)
        }
        let clock = ContinuousClock()
        let end = clock.now + wait.duration
        while true {
            let members = try? await node.withNode { try await $0.clusterView() }
            if let members, isSettled(members) {
                try output.print(Self.report(members))
                return try checkReady(members)
            }
            guard clock.now < end else {
                if let members { try output.print(Self.report(members)) }
                throw CommandFailure(
                    .unavailable,
                    members == nil
                        ? "no node answered within the time of --wait" : "not all nodes are up and active yet"
                )
            }
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    private func isSettled(_ members: ClusterMembers) -> Bool {
        members.nodes.count >= nodes ?? 1 && members.nodes.allSatisfy { $0.isUp && $0.state == "active" }
    }

    private func checkReady(_ members: ClusterMembers) throws {
        guard ready else { return }
        let own = members.nodes.first { $0.name == members.own }
        guard own?.state == "active" else {
            throw CommandFailure(
                .negative,
                "node \(members.own) is not ready: it is \(own?.state ?? "in no cluster")"
            )
        }
    }

    private static func report(_ members: ClusterMembers) -> Report {
        Report(
            columns: [
                .init("node"), .init("address"), .init("state"), .init("up"), .init("heard_milliseconds"),
                .init("weight"), .init("share"), .init("memory_bytes"), .init("disk_bytes"),
            ],
            rows: members.nodes.map { node in
                [
                    .text(node.name + (node.name == members.own ? " (asked)" : "")),
                    .text("\(LarderEndpoint.tcp(host: node.host, port: node.port))"), .text(node.state),
                    .text(node.isUp ? "yes" : "no"), .integer(node.silenceMilliseconds),
                    .integer(Int(node.weight)),
                    .text("\(Rate.decimals(Double(node.slotCount) / 163.84, 1)) %"),
                    .integer(node.memoryByteCount), .integer(node.diskByteCount),
                ]
            }
        )
    }
}

/// `larder cluster drain`.
struct ClusterDrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Hand a node's blocks, hottest first, to the nodes that own them after it.",
        discussion: """
            The node takes no new blocks, answers until it is stopped, and leaves the cluster when it is. The command shows \
            how far it is until all is handed over; it can be interrupted, the node goes on by itself.

              larder cluster drain node-2 --node 127.0.0.1:7001
              larder cluster drain && systemctl stop larder
            """
    )

    @Argument(
        help: ArgumentHelp("The node's name; the node at --node unless given.", valueName: "node")
    )
    var name: String?
    @OptionGroup var node: NodeOptions
    @Flag(help: "Return when it has begun.")
    var noWait = false
    @Flag(help: "Show no progress.")
    var quiet = false

    func run() async throws {
        let target = try await target()
        try await target.withNode { try await $0.drain() }
        guard !noWait else { return }
        while true {
            let figures = try await target.withNode { try await $0.clusterFigures() }
            let all = Dictionary(figures.map { ($0.name, $0.value) }) { first, _ in first }
            func figure(_ name: String) -> String { all["cluster_handover_\(name)"] ?? "0" }
            let isDone = figure("phase") == "done"
            if !quiet || isDone {
                StandardStreams.error(
                    "\(isDone ? "drained" : "draining"): \(figure("given_blocks")) blocks given "
                        + "(\(ByteCount(bytes: Int(figure("given_bytes")) ?? 0))), \(figure("held_blocks")) were there already, "
                        + "\(figure("failed_blocks")) not taken"
                )
            }
            if isDone { return }
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    /// How the node is reached that is to be drained.
    private func target() async throws -> NodeOptions {
        guard let name else { return node }
        let members = try await node.withNode { try await $0.clusterView() }
        guard let member = members.nodes.first(where: { $0.name == name }) else {
            throw CommandFailure(
                .usage,
                "no node '\(name)' is in the cluster: there are "
                    + members.nodes.map(\.name).joined(separator: ", ")
            )
        }
        var target = node
        target.node = .tcp(host: member.host, port: member.port)
        return target
    }
}
