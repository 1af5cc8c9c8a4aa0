internal import Blocks
internal import Engine
internal import LarderClient
internal import Synchronization

/// The engine's cache, kept by a node.
final class WorkerExchange: BlockExchange {
    /// How long what a match found stays readable: as long as the largest prompt takes to load.
    private static let lease = Duration.seconds(10)

    private let link: Link?
    private let hasWarned = Atomic<Bool>(false)

    private struct Link {
        let client: LarderClient
        let endpoint: LarderEndpoint
        let namespace: NamespaceID
    }

    /// No node.
    init() {
        link = nil
    }

    /// Connects, so that the first request does not wait for it; a node that is away is waited for no longer than a
    /// store is.
    init(_ configuration: LarderClientConfiguration, _ description: NamespaceDescription) async {
        let client = LarderClient(configuration)
        let namespace = client.describe(description)
        link = Link(client: client, endpoint: configuration.endpoint, namespace: namespace)
        _ = await client.ping(timeout: configuration.storeTimeout)
        warnOfFailures()
    }

    func match(_ keys: KeyBatch) async -> BlockMatch {
        guard let link else { return .none }
        let match = await link.client.match(link.namespace, keys: keys, lease: Self.lease)
        warnOfFailures()
        return BlockMatch(tiers: match.tiers.map(Self.tier), lease: match.leaseID)
    }

    func load(_ keys: KeyBatch, lease: UInt64?, into buffer: BlockBuffer) async -> Int {
        guard let link else { return 0 }
        // SAFETY: the buffer is lent until the call returns, and the client writes to it no longer than that.
        let regions = unsafe (0..<keys.count).map { unsafe buffer[$0] }
        let result = await unsafe link.client.load(link.namespace, keys: keys, lease: lease, into: regions)
        warnOfFailures()
        return result.loadedPrefixCount
    }

    func store(_ keys: KeyBatch, from buffer: BlockBuffer, tokenCount: Int) async -> StoreCount {
        guard let link else { return StoreCount(refused: keys.count) }
        // SAFETY: the buffer is lent until the call returns, and the client reads it no longer than that.
        let payloads = unsafe (0..<keys.count).map { unsafe UnsafeRawBufferPointer(buffer[$0]) }
        let options = StoreOptions(tokenCount: tokenCount)
        let outcomes = await unsafe link.client.store(
            link.namespace,
            keys: keys,
            payloads: payloads,
            options: options
        )
        warnOfFailures()
        return StoreCount(
            stored: outcomes.count { $0 == .stored },
            existing: outcomes.count { $0 == .exists },
            refused: outcomes.count { !$0.isHeld }
        )
    }

    func release(_ lease: UInt64) async {
        guard let link else { return }
        await link.client.release(lease: lease)
    }

    /// Ends the connections.
    func close() async {
        link?.client.close()
    }

    private static func tier(_ tier: PrefixMatch.Tier) -> BlockMatch.Tier {
        switch tier {
        case .memory: .memory
        case .disk: .disk
        case .peer, .other: .other
        }
    }

    /// Says once that the node failed, and goes on.
    private func warnOfFailures() {
        guard let link, let failure = link.client.statistics.failureCounts.keys.first,
            !hasWarned.exchange(true, ordering: .relaxed)
        else { return }
        StandardStreams.error(
            "larder: the node at \(link.endpoint) failed (\(failure)): misses, and the work goes on"
        )
    }
}
