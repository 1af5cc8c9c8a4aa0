public import Blocks
internal import RESP

/// A tool's way to a node: the calls of ``LarderClient`` and more, with errors instead of misses.
///
/// The circuit breaker is not asked, and the default deadline is the configuration's `administrationTimeout`.
public struct LarderAdmin: Sendable {
    let link: NodeLink

    private func effort(_ timeout: Duration?) -> CallEffort {
        .tool(timeout ?? link.configuration.administrationTimeout)
    }

    /// Throws unless the node answers.
    public func ping(timeout: Duration? = nil) async throws(LarderClientError) {
        try await link.ping(effort(timeout))
    }

    /// Describes a namespace to the node, now and on every later connection; throws when the node does not take it.
    @discardableResult
    public func describe(
        _ description: NamespaceDescription,
        timeout: Duration? = nil
    ) async throws(LarderClientError) -> NamespaceID {
        link.namespaces.add(description)
        return try await link.describe(description, effort(timeout))
    }

    /// How many of the first `keys` the node holds.
    public func match(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        lease: Duration? = nil,
        prefetches: Bool = false,
        timeout: Duration? = nil
    ) async throws(LarderClientError) -> PrefixMatch {
        try await link.match(namespace, keys: keys, lease: lease, prefetches: prefetches, effort(timeout))
    }

    /// Ends a lease early; whether the node knew it.
    @discardableResult
    public func release(lease: UInt64, timeout: Duration? = nil) async throws(LarderClientError) -> Bool {
        try await link.release(lease: lease, effort(timeout))
    }

    /// Loads payloads into arrays; `nil` for each key that the node does not hold.
    public func load(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        lease: UInt64? = nil,
        timeout: Duration? = nil
    ) async throws(LarderClientError) -> [[UInt8]?] {
        let sink = ArraySink(count: keys.count)
        let result = try await link.load(namespace, keys: keys, lease: lease, into: sink, effort(timeout))
        return sink.take(where: result.isLoaded)
    }

    /// Stores blocks whose payloads are arrays.
    public func store(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        payloads: [[UInt8]],
        options: StoreOptions = StoreOptions(),
        timeout: Duration? = nil
    ) async throws(LarderClientError) -> [StoreOutcome] {
        let memory = CopiedPayloads(payloads)
        let outcomes = try await link.store(
            namespace,
            keys: keys,
            payloads: memory.lent,
            options,
            effort(timeout)
        )
        return withExtendedLifetime(memory) { outcomes }
    }

    /// Spares blocks from eviction; how many are pinned now.
    public func pin(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        timeToLive: Duration? = nil,
        timeout: Duration? = nil
    ) async throws(LarderClientError) -> Int {
        try await link.pin(namespace, keys: keys, timeToLive: timeToLive, effort(timeout))
    }

    /// Ends pins; how many of the blocks are held.
    public func unpin(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        timeout: Duration? = nil
    ) async throws(LarderClientError) -> Int {
        try await link.unpin(namespace, keys: keys, effort(timeout))
    }

    /// Has the node bring blocks from disk to memory; how many are on their way.
    public func prefetch(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        timeout: Duration? = nil
    ) async throws(LarderClientError) -> Int {
        try await link.prefetch(namespace, keys: keys, effort(timeout))
    }

    /// Deletes blocks; how many there were.
    public func delete(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        timeout: Duration? = nil
    ) async throws(LarderClientError) -> Int {
        try await link.delete(namespace, keys: keys, effort(timeout))
    }

    /// Deletes every block of a namespace; how many there were.
    public func clear(
        _ namespace: NamespaceID,
        timeout: Duration? = nil
    ) async throws(LarderClientError) -> Int {
        try await link.clear(namespace, effort(timeout))
    }

    /// Why each key is where it is, or why it is not there.
    public func explain(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        timeout: Duration? = nil
    ) async throws(LarderClientError) -> [String] {
        try await link.explain(namespace, keys: keys, effort(timeout))
    }

    /// The node's figures, or those of one namespace, by name.
    public func stats(
        _ namespace: NamespaceID? = nil,
        timeout: Duration? = nil
    ) async throws(LarderClientError) -> [String: String] {
        try await link.stats(namespace, effort(timeout))
    }

    /// The prefixes of a namespace that are asked for most.
    public func hot(
        _ namespace: NamespaceID,
        limit: Int,
        timeout: Duration? = nil
    ) async throws(LarderClientError) -> [PrefixHeat] {
        try await link.hot(namespace, limit: limit, effort(timeout))
    }

    /// Who is in the node's cluster.
    ///
    /// - Throws: `.answeredWithError` when the node is in none.
    public func clusterView() async throws(LarderClientError) -> ClusterMembers {
        try await link.clusterView(effort(nil))
    }

    /// The figures of the node's part in its cluster, by name.
    public func clusterFigures() async throws(LarderClientError) -> [(name: String, value: String)] {
        try await link.clusterFigures(effort(nil))
    }

    /// Begins to drain the node: it takes no new blocks and hands over what it holds.
    public func drain() async throws(LarderClientError) {
        let reply = try await link.ask(NodeLink.request("KV.CLUSTER", "DRAIN"), effort(nil))
        guard reply.text == "OK" else { throw NodeLink.unexpected("KV.CLUSTER", reply) }
    }
}
