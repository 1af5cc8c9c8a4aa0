package import Blocks
internal import LarderClient
package import Logging
internal import Membership
package import Placement
internal import Synchronization
package import Tiering

/// A node's part in its cluster: who the others are, which of them owns what, and the way to each.
///
/// It is the store's `PeerTier`. Nothing waits for it: a node that is away is a miss.
package final class Cluster: MembershipListener {
    struct State {
        var own: Member
        var members: [Member] = []
        var revision: UInt64 = 0
        var epoch: UInt64 = 0
        var peers: [NodeName: Peer] = [:]
        /// Nodes that have handed over what they held of this one's slots, since it joined.
        var handedOver: Set<NodeName> = []
        var hasLeft = false
        /// Whether other nodes may have owned this one's slots for a while, and nothing was done about it yet.
        var placeWasLost = false
        /// How far the membership's source was read, and its newest revision by which this node's record was there.
        var readRevision: UInt64 = 0
        var recordRevision: UInt64 = 0
        /// The revision of the source by which a peer has no record of this node: it owns nothing until there is one
        /// again.
        var steppedAsideAt: UInt64?
        /// Whether this node became active without what other nodes did not hand over in time.
        var joinedIncomplete = false
        /// Tenants of the users that the membership's source keeps.
        var sharedTenants: Set<Tenant> = []
    }

    let configuration: ClusterConfiguration
    let store: BlockStore
    let clock: any CacheClock
    let logger: Logger
    let counters = ClusterCounters()
    let state: Mutex<State>
    let handover = HandoverDesk()
    private let routingNow: Mutex<Routing>
    private let threads = Mutex<[ServiceThread]>([])
    private let isClosed = Atomic<Bool>(false)
    /// Set when other nodes may have owned this one's slots for a while.
    let placeWasLostNow = Atomic<Bool>(false)
    let bell = Doorbell()
    let workBell = Doorbell()
    /// Wakes the thread that asks for deletions.
    let deletionBell = Doorbell()
    /// Monotonic time until when what this node holds may be served, nanoseconds.
    let heldIsValidUntil: Atomic<UInt64>
    let contactFile: ContactFile?
    /// The last contacts of the previous run.
    let previousContacts: [NodeName: (logID: UInt64, heardAt: UInt64)]
    private let usersListener: (@Sendable ([String]) -> Void)?

    /// Prepares a node's part; `start` begins it. `usersListener` hears of users that the membership's source keeps.
    package init(
        _ configuration: ClusterConfiguration,
        store: BlockStore,
        logger: Logger,
        usersListener: (@Sendable ([String]) -> Void)? = nil
    ) {
        self.configuration = configuration
        self.store = store
        self.logger = logger
        self.usersListener = usersListener
        clock = store.clock
        contactFile = configuration.directory.map(ContactFile.init)
        previousContacts = contactFile?.read() ?? [:]
        // Who was a member before may have missed something, until the others have said what.
        heldIsValidUntil = Atomic(previousContacts.isEmpty ? .max : 0)
        state = Mutex(State(own: configuration.own))
        routingNow = Mutex(
            Routing(view: ClusterView(epoch: 0, members: []), own: configuration.own.name, peers: [:])
        )
    }

    /// Registers the node, learns who else is there, and opens the store to them.
    package func start() async throws(CacheError) {
        for description in store.descriptions { configuration.provider.share(description) }
        try await configuration.provider.start(own, self)
        store.join(self)
        threads.withLock { threads in
            threads = [
                ServiceThread(name: "larder-peers") { self.beat() },
                ServiceThread(name: "larder-handover") { self.work() },
                ServiceThread(name: "larder-deletions") { self.catchUp() },
            ]
        }
    }

    /// Ends all that is under way; with `leaves` the node is taken out of the cluster.
    package func stop(leaves: Bool) async {
        guard !isClosed.exchange(true, ordering: .sequentiallyConsistent) else { return }
        bell.ring()
        workBell.ring()
        deletionBell.ring()
        await configuration.provider.stop(leaves: leaves)
        let threads = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        await withCheckedContinuation { continuation in
            _ = ServiceThread(name: "larder-close") {
                for thread in threads { thread.join() }
                continuation.resume()
            }
        }
        for peer in state.withLock({ Array($0.peers.values) }) { peer.link.close() }
    }

    var isStopping: Bool { isClosed.load(ordering: .relaxed) }

    /// This node as it has told the others.
    package var own: Member { state.withLock { $0.own } }

    /// Who is in the cluster.
    package var view: ClusterView { routing.view }

    /// What the others prove themselves with.
    package var secret: ClusterSecret { configuration.secret }

    var routing: Routing { routingNow.withLock { $0 } }

    var now: UInt64 { clock.monotonicNanoseconds() }

    // MARK: What the membership tells

    package func membersChanged(_ members: [Member], revision: UInt64) {
        state.withLock { state in
            // What the membership says of a member is newer than what the member said of itself before.
            for member in members {
                guard let known = state.members.first(where: { $0.name == member.name }),
                    known.run == member.run,
                    known.state != member.state || known.weight != member.weight
                else { continue }
                state.peers[member.name]?.forgetReport()
            }
            state.revision = revision
            state.members = members
        }
        rebuild()
    }

    package func sourceWasRead(upTo revision: UInt64, ownRecordAt recordRevision: UInt64) {
        let isBack = state.withLock { state in
            // Revisions go back only when the source has lost its data: those from before mean nothing then.
            let hasLostData = revision < state.readRevision
            (state.readRevision, state.recordRevision) = (revision, recordRevision)
            guard let aside = state.steppedAsideAt, recordRevision >= aside || hasLostData else {
                return false
            }
            state.steppedAsideAt = nil
            state.placeWasLost = true
            return true
        }
        guard isBack else { return }
        logger.notice("this node is a member of the cluster again")
        placeWasLostNow.store(true, ordering: .relaxed)
        rebuild()
    }

    package func namespacesShared(_ descriptions: [NamespaceDescription]) {
        for description in descriptions {
            do {
                try store.remember(description)
            } catch {
                logger.warning("a namespace of the cluster is not known here", metadata: ["why": "\(error)"])
            }
            for peer in peers { peer.link.describe(description) }
        }
    }

    package func placeWasLost() {
        state.withLock { $0.placeWasLost = true }
        placeWasLostNow.store(true, ordering: .relaxed)
        rebuild()
        workBell.ring()
    }

    /// A peer that has read the membership's source up to a revision found no record of this node there: when the record
    /// was there at an older one only, it was taken out since, and others own the node's slots.
    func stepAside(for peer: Peer, revision: UInt64) {
        let isNews = state.withLock { state in
            guard revision > state.recordRevision, state.steppedAsideAt == nil else { return false }
            state.steppedAsideAt = revision
            return true
        }
        guard isNews else { return }
        logger.warning(
            "this node is no member of the cluster any more: it owns nothing until it is one again",
            metadata: ["says": "\(peer.name)", "revision": "\(revision)"]
        )
        rebuild()
    }

    /// Whether another node counts as a member here, and by which revision of the membership's source; 0 for a source
    /// without revisions.
    func isMember(_ name: NodeName, run: UInt64) -> (isMember: Bool, revision: UInt64) {
        state.withLock { state in
            let record = state.members.first { $0.name == name }
            return (record.map { $0.run == 0 || $0.run == run } ?? false, state.readRevision)
        }
    }

    package func usersChanged(_ lines: [String]) {
        // A line is name:tenant:scopes:password-hash.
        let tenants = lines.compactMap { line -> Tenant? in
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            return fields.count == 3 ? try? Tenant(String(fields[1])) : nil
        }
        state.withLock { $0.sharedTenants = Set(tenants) }
        usersListener?(lines)
    }

    /// Tells the other nodes of a namespace that a client of a tenant has described here: there the tenant knows it too.
    package func share(_ description: NamespaceDescription, for tenant: Tenant) {
        configuration.provider.share(description)
        for peer in peers { peer.link.describe(description, for: tenant) }
    }

    /// Whose blocks are handed over and replicated.
    var tenants: Set<Tenant> { state.withLock { $0.sharedTenants }.union(configuration.tenants) }

    var peers: [Peer] { state.withLock { Array($0.peers.values) } }

    /// Changes where this node stands, for itself and for the others.
    func become(_ newState: Member.State) {
        let own = state.withLock { state in
            state.own.state = newState
            return state.own
        }
        logger.notice("this node is \(newState.rawValue)", metadata: ["node": "\(own.name)"])
        configuration.provider.update(own)
        rebuild()
    }

    /// Makes a new view of what is known: the members, what they say of themselves, and who can be reached.
    func rebuild() {
        let (view, isNew): (ClusterView, Bool) = state.withLock { state in
            let before = routingNow.withLock { $0 }
            let members = currentMembers(state)
            updatePeers(&state, members)
            let isNew = members != before.view.members
            var view = before.view
            if isNew {
                state.epoch += 1
                // From the tables before: an event loop may be the one that waits.
                view = ClusterView(epoch: state.epoch, members: members, after: before.view)
            }
            let lost = state.placeWasLost
            state.placeWasLost = false
            let routing = Routing(
                view: view,
                own: state.own.name,
                peers: state.peers,
                asksReplicas: configuration.replicaCount > 1 || state.joinedIncomplete,
                plainValidSince: !isNew && !lost
                    ? before.plainValidSince
                    : Routing.plainValidSince(
                        view,
                        own: state.own.name,
                        after: before,
                        placeWasLost: lost,
                        now: clock.unixMilliseconds()
                    )
            )
            routingNow.withLock { $0 = routing }
            return (view, isNew)
        }
        guard isNew else { return }
        counters.viewChanges.add()
        logger.info(
            "the cluster's view changed",
            metadata: [
                "epoch": "\(view.epoch)",
                "members": "\(view.members.map { "\($0.name)=\($0.state.rawValue)" }.joined(separator: " "))",
            ]
        )
        workBell.ring()
    }

    /// The members by the source's list and by what they say of themselves, as a view lists them.
    private func currentMembers(_ state: State) -> [Member] {
        var members = state.members.filter { $0.name != state.own.name }
        if !state.hasLeft, state.steppedAsideAt == nil { members.append(state.own) }
        for index in members.indices {
            // What a node says of itself is newer than what its record says, if it is the same start of it.
            guard let report = state.peers[members[index].name]?.report,
                members[index].run == 0 || report.run == members[index].run
            else { continue }
            members[index].state = report.state
            members[index].weight = report.weight
            // A written list does not know which start of it this is.
            members[index].run = report.run
        }
        return ClusterView.listed(members)
    }

    /// For a node that joined while this one was away: what it heard of is what the others heard of since.
    private var oldestPreviousContact: (logID: UInt64, heardAt: UInt64)? {
        previousContacts.values.map(\.heardAt).min().map { (0, $0) }
    }

    private func updatePeers(_ state: inout State, _ members: [Member]) {
        var peers: [NodeName: Peer] = [:]
        for member in members where member.name != state.own.name {
            let endpoint = LarderEndpoint.tcp(host: member.host, port: member.port)
            if let known = state.peers[member.name], known.endpoint == endpoint {
                peers[member.name] = known
            } else {
                let peer = Peer(
                    member,
                    configuration,
                    previous: previousContacts[member.name] ?? oldestPreviousContact,
                    now: now
                )
                for (description, tenants) in store.knownDescriptions {
                    peer.link.describe(description)
                    for tenant in tenants { peer.link.describe(description, for: tenant) }
                }
                peers[member.name] = peer
            }
        }
        for (name, peer) in state.peers where peers[name] !== peer { peer.link.close() }
        state.peers = peers
    }
}
