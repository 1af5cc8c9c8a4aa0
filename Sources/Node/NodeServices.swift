internal import Blocks
internal import Cluster
internal import ControlPlane
internal import Logging
internal import MemoryTier
internal import Tiering

/// What every connection of a node shares.
final class NodeServices: Sendable {
    let store: BlockStore
    let configuration: NodeConfiguration
    let authenticator: Authenticator?
    /// What tells routers of blocks, when that is on.
    let events: EventService?
    /// The node's part in its cluster, when it is in one.
    let cluster: Cluster?
    /// Whether somebody wants to know which block follows which.
    let tellsChains: Bool
    let counters = NodeCounters()
    /// What the control plane counts, when it is on.
    let controlCounters: ControlCounters?
    let connections = ConnectionTable()
    let paddedNils = PaddedNilTable()
    let latencies: RequestLatencies
    /// All figures that the node counts beside the store, by name.
    var fields: [(name: String, value: Int)] {
        counters.fields
            + [
                ("reply_bytes_waiting", replies.usedByteCount),
                ("reply_bytes_waiting_peak", replies.peakByteCount),
                ("reply_bytes_waiting_max", replies.byteCountMax), ("reply_budget_waits", replies.waitCount),
                ("receiving_bytes", receiving.totalByteCount),
            ] + (events?.counters.fields ?? []) + (controlCounters?.fields ?? [])
    }
    /// Bytes of memory that clients hold to write in place.
    let reservedByteCount = Counter()
    /// Memory that payloads hold while they are received.
    let receiving: ReceivingShares
    /// Memory of copied replies.
    let replies: BufferBudget
    let startedAt: UInt64
    let runID: String

    /// The tenants that may have blocks here: those of this node's users and of the users that its cluster keeps.
    var tenants: Set<Tenant> {
        guard let shared = authenticator?.sharedTenants, !shared.isEmpty else { return ownTenants }
        return ownTenants.union(shared)
    }

    /// Those of this node's own users; asked for with each payload, so they are gathered once.
    private let ownTenants: Set<Tenant>

    init(
        store: BlockStore,
        configuration: NodeConfiguration,
        events: EventService? = nil,
        cluster: Cluster? = nil,
        controlCounters: ControlCounters? = nil,
        logger: Logger
    ) {
        self.controlCounters = controlCounters
        ownTenants = configuration.users?.tenants ?? [.default]
        self.cluster = cluster
        receiving = ReceivingShares(
            byteCountMax: Int(Double(store.arena.byteCount) * configuration.limits.receivingShareMax)
        )
        replies = BufferBudget(byteCountMax: configuration.limits.replyByteCountMax)
        self.store = store
        self.configuration = configuration
        self.events = events
        tellsChains = events != nil || configuration.controlPort != nil
        authenticator = configuration.users.map { Authenticator($0, logger: logger) }
        startedAt = store.clock.monotonicNanoseconds()
        latencies = RequestLatencies(now: startedAt)
        var generator = SystemRandomNumberGenerator()
        let digits = Array("0123456789abcdef")
        runID = String((0..<40).map { _ in digits[Int.random(in: 0..<16, using: &generator)] })
    }
}
