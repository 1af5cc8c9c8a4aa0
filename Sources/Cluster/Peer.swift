internal import Blocks
internal import LarderClient
internal import Placement
internal import Synchronization

/// Another node of the cluster, as this one sees it.
final class Peer: Sendable {
    private struct Health {
        var heardAt: UInt64
        var isDown = false
        var refusedCount = 0
        var reported: PeerReport?
        /// What this node has told it of itself, and it has answered to.
        var told: Member.State?
    }

    /// Its name.
    let name: NodeName
    /// Where it listens.
    let endpoint: LarderEndpoint
    /// The way to it.
    let link: PeerLink
    /// Until when this node has heard of its deletions.
    let contact: PeerContact

    private let health: Mutex<Health>
    private let isDownNow = Atomic<Bool>(false)

    /// `previous` is the last contact that an earlier run of this node had with it.
    init(
        _ member: Member,
        _ configuration: ClusterConfiguration,
        previous: (logID: UInt64, heardAt: UInt64)?,
        now: UInt64
    ) {
        contact = PeerContact(since: previous?.heardAt, logID: previous?.logID, now: now)
        name = member.name
        endpoint = .tcp(host: member.host, port: member.port)
        var breaker = CircuitBreaker.Policy()
        // One that was slow once is wanted back at once, one that is gone soon; asking it costs nobody anything.
        breaker.backoffMin = .milliseconds(10)
        breaker.backoffMax = .milliseconds(250)
        link = PeerLink(
            endpoint: endpoint,
            greeting: PeerGreeting(
                ownName: configuration.own.name.description,
                peerName: member.name.description,
                secret: configuration.secret
            ),
            connectionCount: configuration.connectionCount,
            breaker: breaker
        )
        health = Mutex(Health(heardAt: now))
    }

    /// Whether this node took blocks of its slots while it was away, and has not handed them over since.
    let wasStoodInFor = Atomic<Bool>(false)

    /// Whether it has been silent for too long: its blocks are misses, and its slots others' until it is heard again.
    var isDown: Bool { isDownNow.load(ordering: .relaxed) }

    /// What it said of itself last.
    var report: PeerReport? { health.withLock { $0.reported } }

    /// What it said of itself is older than what is known otherwise.
    func forgetReport() { health.withLock { $0.reported = nil } }

    /// What it is known to know of this node's state.
    var told: Member.State? { health.withLock { $0.told } }

    /// It has answered to a heartbeat that said so.
    func hasBeenTold(_ state: Member.State) {
        health.withLock { $0.told = state }
    }

    /// Nanoseconds since it was heard.
    func silence(at now: UInt64) -> UInt64 {
        health.withLock { now > $0.heardAt ? now - $0.heardAt : 0 }
    }

    /// It answered; returns whether it was down.
    func heard(_ report: PeerReport, at now: UInt64) -> Bool {
        health.withLock { health in
            health.heardAt = now
            health.refusedCount = 0
            health.reported = report
            defer {
                health.isDown = false
                isDownNow.store(false, ordering: .relaxed)
            }
            return health.isDown
        }
    }

    /// It did not answer; returns whether it counts as down from now on. A node that refuses connections is down at the
    /// second refusal, one that says nothing after `silenceMax` nanoseconds.
    func missed(at now: UInt64, wasRefused: Bool, silenceMax: UInt64) -> Bool {
        health.withLock { health in
            health.refusedCount = wasRefused ? health.refusedCount + 1 : 0
            let isSilent = now > health.heardAt && now - health.heardAt >= silenceMax
            guard !health.isDown, isSilent || health.refusedCount >= 2 else { return false }
            health.isDown = true
            isDownNow.store(true, ordering: .relaxed)
            return true
        }
    }
}

/// What a node says of itself with each heartbeat.
struct PeerReport: Hashable, Sendable {
    /// Where it stands in its membership.
    let state: Member.State
    /// Its weight.
    let weight: UInt32
    /// Which start of it.
    let run: UInt64
}
