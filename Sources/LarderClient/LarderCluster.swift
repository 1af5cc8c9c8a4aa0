public import Blocks
internal import Placement
internal import Synchronization

/// An engine's way to a cluster: payloads go to and come from the nodes that own them, without a hop between.
///
/// One node, the door, is asked what is held, and for whatever an owner does not give: any node answers for all, so a
/// client that knows too little only pays a hop. Who owns what is learnt from the door and looked at again every second
/// while there are calls. As with ``LarderClient``, nothing throws: what cannot be had in time is a miss.
///
/// ```swift
/// let cluster = LarderCluster(LarderClientConfiguration(endpoint: local), seeds: [local, other])
/// let namespace = cluster.describe(description)
/// let held = await cluster.match(namespace, keys: keys, lease: .seconds(10))
/// let loaded = await cluster.load(namespace, keys: prefix, lease: held.leaseID, into: regions)
/// ```
public final class LarderCluster: Sendable {
    private struct State {
        var view: ClusterView?
        var clients: [LarderEndpoint: LarderClient] = [:]
        var door: LarderEndpoint
        var isRefreshing = false
        var refreshedAt: ContinuousClock.Instant?
        var descriptions: [NamespaceDescription] = []
        var isClosed = false
    }

    private let configuration: LarderClientConfiguration
    private let seeds: [LarderEndpoint]
    private let state: Mutex<State>

    /// How old a view may be before the door is asked again.
    private static let viewAgeMax = Duration.seconds(1)

    /// Creates a client.
    ///
    /// - Parameters:
    ///   - configuration: How to talk to each node; its endpoint is the first door.
    ///   - seeds: Other nodes, to be the door when that does not answer.
    public init(_ configuration: LarderClientConfiguration, seeds: [LarderEndpoint] = []) {
        self.configuration = configuration
        self.seeds = [configuration.endpoint] + seeds.filter { $0 != configuration.endpoint }
        state = Mutex(State(door: configuration.endpoint))
    }

    deinit { close() }

    /// Ends all connections.
    public func close() {
        let clients = state.withLock { state in
            state.isClosed = true
            defer { state.clients = [:] }
            return Array(state.clients.values)
        }
        for client in clients { client.close() }
    }

    /// The client of the node that is asked for everything but payloads.
    public var door: LarderClient {
        let endpoint = state.withLock { $0.door }
        return client(endpoint)
    }

    /// Number of nodes that payloads go to directly; 0 before the cluster is known, or when the door is in none.
    public var knownNodeCount: Int { state.withLock { $0.view?.members.count ?? 0 } }

    /// Makes a namespace known to every node that is talked to.
    @discardableResult
    public func describe(_ description: NamespaceDescription) -> NamespaceID {
        let clients = state.withLock { state in
            if !state.descriptions.contains(description) { state.descriptions.append(description) }
            return Array(state.clients.values)
        }
        for client in clients { client.describe(description) }
        return description.id
    }

    /// Learns who is in the cluster, from the first node that answers; false when none does.
    @discardableResult
    public func refresh() async -> Bool {
        for endpoint in seeds + knownEndpoints {
            guard let members = try? await client(endpoint).admin.clusterView() else { continue }
            take(members, from: endpoint)
            return true
        }
        return false
    }

    /// How many of the first `keys` the cluster holds; see ``LarderClient/match(_:keys:lease:prefetches:timeout:)``.
    public func match(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        lease: Duration? = nil,
        prefetches: Bool = false,
        timeout: Duration? = nil
    ) async -> PrefixMatch {
        refreshSoon()
        return await door.match(namespace, keys: keys, lease: lease, prefetches: prefetches, timeout: timeout)
    }

    /// Ends a lease of a match early.
    @discardableResult
    public func release(lease: UInt64, timeout: Duration? = nil) async -> Bool {
        await door.release(lease: lease, timeout: timeout)
    }

    /// Loads payloads from their owners into the caller's memory, and from the door what an owner did not give.
    ///
    /// - Parameters: see ``LarderClient/load(_:keys:lease:into:timeout:)-(_,_,_,[UnsafeMutableRawBufferPointer],_)``.
    /// - Returns: which payloads arrived whole. The content of other regions is unspecified.
    public func load(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        lease: UInt64? = nil,
        into regions: [UnsafeMutableRawBufferPointer],
        timeout: Duration? = nil
    ) async -> LoadResult {
        refreshSoon()
        guard unsafe regions.count == keys.count else { return .none(count: keys.count) }
        let limit = timeout ?? configuration.loadTimeout
        let start = ContinuousClock.now
        let door = door
        let memory = unsafe LentRegions(regions)
        var isLoaded = [Bool](repeating: false, count: keys.count)
        let parts = parts(of: keys)
        await withTaskGroup(of: (indices: [Int], isLoaded: [Bool]).self) { group in
            for (endpoint, indices) in parts {
                let client = client(endpoint)
                // An owner that hangs leaves the door half of the time.
                let limit = client === door ? limit : limit / 2
                group.addTask {
                    let result = unsafe await client.load(
                        namespace,
                        keys: keys.selecting(indices),
                        into: unsafe indices.map { unsafe memory.regions[$0] },
                        timeout: limit
                    )
                    return (indices, result.isLoaded)
                }
            }
            for await part in group {
                for (index, isThere) in zip(part.indices, part.isLoaded) { isLoaded[index] = isThere }
            }
        }
        let missing = isLoaded.indices.filter { !isLoaded[$0] }
        let rest = limit - (ContinuousClock.now - start)
        guard !missing.isEmpty, rest > .zero else { return LoadResult(isLoaded: isLoaded) }
        let late = unsafe await door.load(
            namespace,
            keys: keys.selecting(missing),
            lease: lease,
            into: unsafe missing.map { unsafe memory.regions[$0] },
            timeout: rest
        )
        for (index, isThere) in zip(missing, late.isLoaded) { isLoaded[index] = isThere }
        return LoadResult(isLoaded: isLoaded)
    }

    /// Offers blocks to their owners, and to the door what an owner did not take.
    ///
    /// - Parameters: see ``LarderClient/store(_:keys:payloads:options:timeout:)``.
    /// - Returns: what became of each block.
    public func store(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        payloads: [UnsafeRawBufferPointer],
        options: StoreOptions = StoreOptions(),
        timeout: Duration? = nil
    ) async -> [StoreOutcome] {
        refreshSoon()
        guard unsafe payloads.count == keys.count else {
            return Array(repeating: .refused("\(keys.count) keys and other payloads"), count: keys.count)
        }
        let limit = timeout ?? configuration.storeTimeout
        let start = ContinuousClock.now
        let door = door
        let lent = unsafe LentPayloads(payloads)
        var outcomes = [StoreOutcome](repeating: .refused("not asked"), count: keys.count)
        let parts = parts(of: keys)
        await withTaskGroup(of: (indices: [Int], outcomes: [StoreOutcome]).self) { group in
            for (endpoint, indices) in parts {
                let client = client(endpoint)
                let limit = client === door ? limit : limit / 2
                group.addTask {
                    let outcomes = unsafe await client.store(
                        namespace,
                        keys: keys.selecting(indices),
                        payloads: unsafe indices.map { unsafe lent.buffers[$0] },
                        options: options,
                        timeout: limit
                    )
                    return (indices, outcomes)
                }
            }
            for await part in group {
                for (index, outcome) in zip(part.indices, part.outcomes) { outcomes[index] = outcome }
            }
        }
        // A conflict is an answer; an owner that is away is not.
        let missing = outcomes.indices.filter { index in
            if case .refused(let reason) = outcomes[index] { return !reason.hasPrefix("conflict") }
            return false
        }
        let rest = limit - (ContinuousClock.now - start)
        guard !missing.isEmpty, rest > .zero else { return outcomes }
        let late = unsafe await door.store(
            namespace,
            keys: keys.selecting(missing),
            payloads: unsafe missing.map { unsafe lent.buffers[$0] },
            options: options,
            timeout: rest
        )
        for (index, outcome) in zip(missing, late) { outcomes[index] = outcome }
        return outcomes
    }

    // MARK: Who owns what

    /// The keys by the node to ask, which is the door while nothing better is known.
    private func parts(of keys: KeyBatch) -> [LarderEndpoint: [Int]] {
        let (view, door) = state.withLock { ($0.view, $0.door) }
        var parts: [LarderEndpoint: [Int]] = [:]
        for index in 0..<keys.count {
            let owner = view?.owner(of: Slot.of(keys[index]))
            parts[owner.map { .tcp(host: $0.host, port: $0.port) } ?? door, default: []].append(index)
        }
        return parts
    }

    private func client(_ endpoint: LarderEndpoint) -> LarderClient {
        state.withLock { state in
            if let known = state.clients[endpoint] { return known }
            var configuration = configuration
            configuration.endpoint = endpoint
            let client = LarderClient(configuration)
            if state.isClosed { client.close() } else { state.clients[endpoint] = client }
            for description in state.descriptions { client.describe(description) }
            return client
        }
    }

    private var knownEndpoints: [LarderEndpoint] {
        state.withLock { $0.view?.members.map { .tcp(host: $0.host, port: $0.port) } ?? [] }
            .filter { !seeds.contains($0) }
    }

    private func take(_ members: ClusterMembers, from endpoint: LarderEndpoint) {
        let view = ClusterView(
            epoch: UInt64(clamping: members.epoch),
            // Without those that cannot be reached: the next node of their slots stands in for them.
            members: members.nodes.filter(\.isUp).compactMap { node in
                guard let name = NodeName(node.name), let state = Member.State(rawValue: node.state) else {
                    return nil
                }
                return Member(name: name, host: node.host, port: node.port, weight: node.weight, state: state)
            }
        )
        let gone = state.withLock { state -> [LarderClient] in
            state.view = view
            state.door = endpoint
            state.refreshedAt = .now
            let wanted = Set(seeds + view.members.map { .tcp(host: $0.host, port: $0.port) })
            let gone = state.clients.filter { !wanted.contains($0.key) }
            for endpoint in gone.keys { state.clients[endpoint] = nil }
            return Array(gone.values)
        }
        for client in gone { client.close() }
    }

    /// Looks at the cluster again beside the caller, when the view is old.
    private func refreshSoon() {
        let isDue = state.withLock { state in
            if let at = state.refreshedAt, .now - at < Self.viewAgeMax { return false }
            guard !state.isRefreshing, !state.isClosed else { return false }
            state.isRefreshing = true
            return true
        }
        guard isDue else { return }
        Task { [weak self] in
            await self?.refresh()
            self?.state.withLock { state in
                state.isRefreshing = false
                state.refreshedAt = .now
            }
        }
    }
}

/// Memory that the caller of a load keeps until the call returns.
@safe private struct LentRegions: @unchecked Sendable {
    @unsafe let regions: [UnsafeMutableRawBufferPointer]

    init(_ regions: [UnsafeMutableRawBufferPointer]) {
        unsafe self.regions = regions
    }
}
