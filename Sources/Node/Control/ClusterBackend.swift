internal import Blocks
internal import Cluster
internal import ControlPlane
internal import GRPCCore
internal import Placement
internal import RESP
internal import Tiering

/// A node of a cluster: what concerns other nodes as well is asked of them, the rest is its own store's.
struct ClusterBackend: ControlBackend {
    let cluster: Cluster
    let local: StoreBackend
    let store: BlockStore

    /// Between two looks at a drain, milliseconds.
    private static let drainPauseMilliseconds = 500
    /// Bytes a second that another node's blocks are assumed to come at: a network of 10 Gbit/s.
    private static let peerByteRate = 1_250_000_000.0

    func describe(
        _ description: NamespaceDescription,
        for tenant: Tenant,
        mayRegister: Bool
    ) async throws(ControlError) {
        try await local.describe(description, for: tenant, mayRegister: mayRegister)
        cluster.share(description, for: tenant)
    }

    func descriptions(of tenant: Tenant) async throws(ControlError) -> [NamespaceDescription] {
        try await local.descriptions(of: tenant)
    }

    func description(of space: SpaceName) async throws(ControlError) -> NamespaceDescription {
        try await local.description(of: space)
    }

    /// What each node would answer with: all leading keys that any node holds, from its own tiers where it has them.
    func match(_ name: SpaceName, keys: KeyBatch) async throws(ControlError) -> [NodeMatch] {
        let space = try space(name)
        let holdings = await withCheckedContinuation { continuation in
            cluster.holdings(space, keys) { continuation.resume(returning: $0) }
        }
        let matched = (0..<keys.count).prefix { index in holdings.values.contains { $0[index] != nil } }.count
        guard matched > 0 else { return [] }
        let known = (0..<matched).map { store.summary(space, key: keys[$0])?.summary }
        let sizes = known.compactMap(\.self)
        // Blocks of a namespace are of one size: what is not here is as long as what is.
        let usual =
            sizes.first
            ?? BlockSummary(payloadByteCount: 0, attributes: BlockAttributes(createdAt: 0))
        return cluster.view.members.compactMap { member in
            guard let tiers = holdings[member.name] else { return nil }
            var match = NodeMatch(nodeName: member.name.description, address: "\(member.host):\(member.port)")
            for index in 0..<matched {
                let summary = known[index] ?? usual
                let tier = tiers[index] ?? .peer
                match.append(summary, in: tier)
                match.loadMilliseconds +=
                    tier == .peer
                    ? Double(summary.payloadByteCount) / Self.peerByteRate * 1_000
                    : local.loadMilliseconds(of: summary.payloadByteCount, in: tier)
            }
            return match
        }
    }

    func explain(_ name: SpaceName, keys: KeyBatch) async throws(ControlError) -> [Explanation] {
        let space = try space(name)
        let lines = await withCheckedContinuation { continuation in
            cluster.explain(space, keys) { continuation.resume(returning: $0) }
        }
        return lines.map { line in
            line?.split(separator: ":").first.flatMap { Explanation(rawValue: String($0)) } ?? .neverSeen
        }
    }

    func pin(_ name: SpaceName, keys: KeyBatch, lasting: Duration?) async throws(ControlError) -> [Bool] {
        let space = try space(name)
        let milliseconds = lasting.map { UInt64(max(1, $0 / .milliseconds(1))) }
        return await withCheckedContinuation { continuation in
            cluster.pin(space, keys, milliseconds: milliseconds) { continuation.resume(returning: $0.values) }
        }
    }

    func unpin(_ name: SpaceName, keys: KeyBatch) async throws(ControlError) -> [Bool] {
        let space = try space(name)
        let flags = await withCheckedContinuation { continuation in
            cluster.unpin(space, keys) { continuation.resume(returning: $0) }
        }
        try Self.check(flags.silent)
        return flags.values
    }

    func prefetch(_ name: SpaceName, keys: KeyBatch) async throws(ControlError) -> Int {
        let space = try space(name)
        return await withCheckedContinuation { continuation in
            cluster.prefetch(space, keys) { continuation.resume(returning: $0) }
        }
    }

    func warm(_ space: SpaceName, keys: KeyBatch) async throws -> [Int?] {
        try await local.warm(space, keys: keys)
    }

    func delete(_ name: SpaceName, keys: KeyBatch) async throws(ControlError) -> Int {
        let space = try space(name)
        let flags = await withCheckedContinuation { continuation in
            cluster.delete(space, keys) { continuation.resume(returning: $0) }
        }
        try Self.check(flags.silent)
        return flags.values.count { $0 }
    }

    func clear(_ name: SpaceName) async throws(ControlError) -> Int {
        let space = try space(name)
        let (count, silent) = await withCheckedContinuation { continuation in
            cluster.clear(space) { continuation.resume(returning: ($0, $1)) }
        }
        try Self.check(silent)
        return count
    }

    func figures(of space: SpaceName?) async throws(ControlError) -> [(name: String, value: StatisticValue)] {
        let figures = try await local.figures(of: space)
        guard space == nil else { return figures }
        return figures
            + cluster.figures.map { ($0.name, Int($0.value).map { .integer($0) } ?? .text($0.value)) }
    }

    func clusterView() async throws(ControlError) -> ClusterOverview {
        ClusterOverview(
            epoch: cluster.view.epoch,
            members: cluster.memberReports.map { report in
                let member = report.member
                return ClusterOverview.Member(
                    name: member.name.description,
                    address: "\(member.host):\(member.port)",
                    controlAddress: member.controlPort == 0 ? "" : "\(member.host):\(member.controlPort)",
                    state: ClusterOverview.Member.State(member.state),
                    weight: member.weight,
                    memoryByteCount: member.memoryByteCount,
                    diskByteCount: member.diskByteCount,
                    isSelf: report.isOwn
                )
            }
        )
    }

    func drain(node: String?, progress: @Sendable (DrainStep) async throws -> Void) async throws {
        let target = node.flatMap { $0 == cluster.own.name.description ? nil : NodeName($0) }
        guard node == nil || target != nil || node == cluster.own.name.description else {
            throw ControlError(.invalidArgument, "'\(node ?? "")' is no node's name")
        }
        if let target { _ = try await ask(target, ["KV.CLUSTER", "DRAIN"]) } else { cluster.drain() }
        while true {
            let step = if let target { try await step(of: target) } else { DrainStep(cluster.drainProgress) }
            try await progress(step)
            if step.isFinished { return }
            try await Task.sleep(for: .milliseconds(Self.drainPauseMilliseconds))
        }
    }

    func beginPut(_ put: BlockPut) async throws -> any BlockIntake { try await local.beginPut(put) }

    func get(_ space: SpaceName, key: [UInt8]) async throws -> (any BlockReading)? {
        try await local.get(space, key: key)
    }

    // MARK: Helpers

    private func space(_ name: SpaceName) throws(ControlError) -> KeySpace {
        guard let space = store.visibleSpace(tenant: name.tenant, namespace: name.namespace) else {
            throw .unknownNamespace
        }
        return space
    }

    private static func check(_ silent: [NodeName]) throws(ControlError) {
        guard !silent.isEmpty else { return }
        throw ControlError(
            .unavailable,
            "\(silent.map(\.description).joined(separator: ", ")) did not answer and may still hold some: repeat this when it is back"
        )
    }

    private func ask(_ node: NodeName, _ words: [String]) async throws -> Reply {
        let result = await withCheckedContinuation { continuation in
            cluster.ask(node, words) { continuation.resume(returning: $0) }
        }
        switch result {
        case .success(.failure(let failure)): throw ControlError(.failedPrecondition, failure.text)
        case .success(let reply): return reply
        case .failure(let error): throw ControlError(error)
        }
    }

    private func step(of node: NodeName) async throws -> DrainStep {
        let reply = try await ask(node, ["KV.CLUSTER", "STATUS"])
        var step = DrainStep()
        for pair in reply.pairs ?? [] {
            let value = Int(clamping: pair.value.integer ?? 0)
            switch pair.key.text {
            case "cluster_handover_given_blocks"?: step.handedBlockCount = value
            case "cluster_handover_given_bytes"?: step.handedByteCount = value
            case "cluster_handover_phase"?:
                step.isFinished = pair.value.text == HandoverProgress.Phase.done.rawValue
            default: break
            }
        }
        return step
    }
}

extension DrainStep {
    fileprivate init(_ progress: HandoverProgress) {
        self.init()
        handedBlockCount = progress.givenBlockCount
        handedByteCount = progress.givenByteCount
        isFinished = progress.phase == .done
    }
}

extension ClusterOverview.Member.State {
    fileprivate init(_ state: Member.State) {
        self =
            switch state {
            case .joining: .joining
            case .active: .active
            case .draining: .draining
            }
    }
}
