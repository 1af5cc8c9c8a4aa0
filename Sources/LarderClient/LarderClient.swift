public import Blocks

/// An engine's way to one node: asynchronous, pooled, pipelined, and never the engine's problem.
///
/// Every call has a deadline and none throws: a node that is away, slow, stopped or talks garbage is a miss. After a
/// failure a circuit breaker answers misses at once until the node is back. ``admin`` is the face for tools, which
/// want to know what went wrong.
///
/// ```swift
/// let client = LarderClient(LarderClientConfiguration(endpoint: .tcp(host: "127.0.0.1", port: 7379)))
/// let namespace = client.describe(description)
/// let held = await client.match(namespace, keys: keys, lease: .seconds(10))
/// let loaded = await client.load(namespace, keys: prefix, lease: held.leaseID, into: regions)
/// ```
///
/// Calls are not ended by cancelling their task: they end by their deadline, so that memory that was lent to them is
/// never touched after they have returned.
public final class LarderClient: Sendable {
    let link: NodeLink

    /// Creates a client.
    ///
    /// It connects when it is first used.
    public init(_ configuration: LarderClientConfiguration) {
        link = NodeLink(configuration)
    }

    deinit { link.close() }

    /// The same node, with errors instead of misses, and regardless of the breaker.
    public var admin: LarderAdmin { LarderAdmin(link: link) }

    /// Ends all connections; calls under way and later ones are misses.
    public func close() {
        link.close()
    }

    /// What became of the client's calls so far.
    public var statistics: LarderClientStatistics { link.statistics.snapshot() }

    // MARK: Looking up

    /// How many of the first `keys` the node holds.
    ///
    /// - Parameters:
    ///   - namespace: a namespace that was described.
    ///   - keys: the blocks' keys, from the first block of the prompt on; those after the first
    ///     `Limits.batchKeyCountMax` are not looked for.
    ///   - lease: for how long what is found stays readable; `nil` for no promise.
    ///   - prefetches: whether the node shall bring what is on disk to memory.
    ///   - timeout: the deadline of this call; `nil` for the configured one.
    /// - Returns: the match; nothing held when the node does not answer.
    public func match(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        lease: Duration? = nil,
        prefetches: Bool = false,
        timeout: Duration? = nil
    ) async -> PrefixMatch {
        do {
            return try await link.match(
                namespace,
                keys: keys,
                lease: lease,
                prefetches: prefetches,
                .engine(timeout ?? link.configuration.lookupTimeout)
            )
        } catch {
            return link.miss(.none, error)
        }
    }

    /// Ends a lease early.
    ///
    /// Leases also end by themselves and with the connection.
    ///
    /// - Parameters:
    ///   - lease: the lease of a match.
    ///   - timeout: the deadline of this call; `nil` for the configured one.
    /// - Returns: whether the node knew the lease.
    @discardableResult
    public func release(lease: UInt64, timeout: Duration? = nil) async -> Bool {
        do {
            return try await link.release(lease: lease, .engine(timeout ?? link.configuration.lookupTimeout))
        } catch {
            return link.miss(false, error)
        }
    }

    /// Whether the node answers.
    ///
    /// - Parameter timeout: the deadline of this call; `nil` for the configured one.
    /// - Returns: `false` also when the breaker is open.
    public func ping(timeout: Duration? = nil) async -> Bool {
        do {
            try await link.ping(.engine(timeout ?? link.configuration.lookupTimeout))
            return true
        } catch {
            return link.miss(false, error)
        }
    }

    /// Makes a namespace known to the node on every connection, now and later, before anything is asked about it.
    ///
    /// Never waits: the namespace's name follows from its description.
    @discardableResult
    public func describe(_ description: NamespaceDescription) -> NamespaceID {
        link.namespaces.add(description)
        return description.id
    }
}
