internal import Blocks
internal import LarderClient

/// Asks the nodes of a cluster for what `larder top` shows, all at once and with a deadline: one that is silent does not
/// hold the others up.
final class TopSource {
    /// What is asked for beside the nodes' figures.
    struct Wish: Sendable {
        /// The namespace whose hottest prefixes are wanted, and how many.
        var hot: (namespace: NamespaceID, limit: Int)?
    }

    private let configuration: LarderClientConfiguration
    private let wish: Wish
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private let asked: LarderClient
    /// The name of the node that is asked, once it has told it.
    private var askedName: String?
    /// Clients of the other nodes, by address.
    private var others: [LarderEndpoint: LarderClient] = [:]

    /// - Parameters:
    ///   - configuration: how the first node is reached, and the others like it.
    ///   - deadline: how long one round of questions may take.
    init(_ configuration: LarderClientConfiguration, _ wish: Wish, deadline: Duration) {
        var configuration = configuration
        configuration.connectionCount = 1
        configuration.administrationTimeout = deadline
        self.configuration = configuration
        self.wish = wish
        start = clock.now
        asked = LarderClient(configuration)
    }

    deinit {
        asked.close()
        for client in others.values { client.close() }
    }

    /// Asks who is there, then every node, and puts the answers into the view.
    func look(_ view: inout TopView) async {
        if let members = await members(view) {
            view.epoch = members.epoch
            view.take(
                members.nodes.map { node in
                    TopNode(name: node.name, address: "\(endpoint(of: node))", member: node)
                }
            )
        } else if view.nodes.isEmpty {
            let address = "\(configuration.endpoint)"
            view.nodes = [TopNode(name: address, address: address)]
        }
        let answers = await answers(view.nodes)
        for index in view.nodes.indices { view.nodes[index].take(answers[index]?.sample) }
        if let hot = wish.hot {
            view.hot = TopPrefix.merge(answers.values.compactMap(\.hot), limit: hot.limit)
        }
        view.seconds = seconds
    }

    private var seconds: Double { (clock.now - start) / .seconds(1) }

    // MARK: Who is there

    /// The members as the asked node sees them, or another that answered a moment ago; `nil` when nobody tells, or when
    /// there is no cluster.
    private func members(_ view: TopView) async -> ClusterMembers? {
        do {
            let members = try await asked.admin.clusterView()
            askedName = members.own
            return members
        } catch  where error.code == .answeredWithError {
            return nil
        } catch {
            guard let other = view.nodes.first(where: { $0.answers && $0.name != askedName }),
                let member = other.member
            else { return nil }
            return try? await client(of: member).admin.clusterView()
        }
    }

    private func endpoint(of member: ClusterMembers.Node) -> LarderEndpoint {
        // The address that was given is known to be a way to the node; what it tells others may be none from here.
        member.name == askedName
            ? configuration.endpoint : .tcp(host: member.host, port: member.port)
    }

    private func client(of member: ClusterMembers.Node?) -> LarderClient {
        guard let member, member.name != askedName else { return asked }
        let endpoint = endpoint(of: member)
        if let client = others[endpoint] { return client }
        var configuration = configuration
        configuration.endpoint = endpoint
        let client = LarderClient(configuration)
        others[endpoint] = client
        return client
    }

    // MARK: What they say

    private struct Answer: Sendable {
        let sample: NodeSample
        let hot: [TopPrefix]?
    }

    /// The answers by the places of the nodes.
    private func answers(_ nodes: [TopNode]) async -> [Int: Answer] {
        let admins = nodes.map { client(of: $0.member).admin }
        let (wish, clock, start) = (wish, clock, start)
        return await withTaskGroup(of: (Int, Answer?).self) { group in
            for (index, node) in nodes.enumerated() {
                let (admin, isMember) = (admins[index], node.member != nil)
                group.addTask {
                    (
                        index,
                        await Self.ask(admin, isMember: isMember, wish) { (clock.now - start) / .seconds(1) }
                    )
                }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }

    private static func ask(
        _ admin: LarderAdmin,
        isMember: Bool,
        _ wish: Wish,
        seconds: @Sendable () -> Double
    ) async -> Answer? {
        async let cluster = isMember ? try? admin.clusterFigures() : []
        async let hot = hottest(admin, wish)
        guard var figures = try? await admin.stats() else { return nil }
        let now = seconds()
        for figure in await cluster ?? [] { figures[figure.name] = figure.value }
        return Answer(sample: NodeSample(seconds: now, figures: figures), hot: await hot)
    }

    /// `nil` as well from a node that does not know the namespace.
    private static func hottest(_ admin: LarderAdmin, _ wish: Wish) async -> [TopPrefix]? {
        guard let hot = wish.hot, let prefixes = try? await admin.hot(hot.namespace, limit: hot.limit)
        else { return nil }
        return prefixes.map { prefix in
            TopPrefix(
                lastKey: prefix.keys.last ?? [],
                blockCount: prefix.keys.count,
                tokenCount: prefix.tokenCount,
                hitCount: prefix.hitCount
            )
        }
    }
}
