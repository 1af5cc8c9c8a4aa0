internal import Blocks
internal import Crypto
internal import Logging
internal import NIOPosix
internal import Synchronization

/// Checks passwords of all listeners, on a thread of its own because that is slow on purpose.
///
/// A password that was right once is known again by a keyed digest under a key of this process, so that a pool of
/// connections does not hash its password once each. Others wait their turn, see ``AuthenticationQueue``.
final class Authenticator: Sendable {
    /// What an attempt came to.
    enum Outcome: Sendable {
        case accepted(User)
        /// The answer is held back the usual delay times `delayFactor`, which grows with the failures of the address.
        case refused(delayFactor: Int)
        /// Too many attempts wait for the thread.
        case overloaded
    }

    /// Who sends an attempt.
    struct Sender: Sendable {
        /// The address, as text, with or without a port.
        var address: String
        /// Whether the connection has failed before.
        var hasFailed = false
    }

    private struct Attempt: Sendable {
        let name: String
        let password: String
        let address: String
        let completion: @Sendable (Outcome) -> Void
    }

    /// A password that was right, with the user that it was right for: it counts for no other.
    private struct Known {
        let user: User
        let digest: [UInt8]
    }

    private struct State {
        /// Users that the cluster keeps, beside the node's own.
        var shared: [String: User] = [:]
        var sharedTenants: Set<Tenant> = []
        var known: [String: Known] = [:]
        var decoy: PasswordHash?
        var queue = AuthenticationQueue<Attempt>(
            countMax: waitingCountMax,
            countPerSourceMax: waitingPerSourceCountMax
        )
        var failures = AddressFailures(addressCountMax: failingAddressCountMax, memory: failureMemory)
        var log = FailureLog(window: logWindow)
    }

    private let users: [String: User]
    private let processKey = SymmetricKey(size: .bits256)
    private let pool = NIOThreadPool(numberOfThreads: 1)
    private let state = Mutex(State())
    private let logger: Logger

    /// Most attempts that wait for the thread.
    static let waitingCountMax = 512
    /// Most of them from one address at one user.
    static let waitingPerSourceCountMax = 64
    /// Most addresses whose failures are remembered.
    static let failingAddressCountMax = 4_096
    /// How long after its last failure an address is remembered.
    static let failureMemory: Duration = .seconds(60)
    /// Least time between two log lines about failures.
    static let logWindow: Duration = .seconds(10)

    init(_ file: UserFile, logger: Logger) {
        users = file.users
        self.logger = logger
        state.withLock { $0.decoy = Self.decoy(file.users.values) }
        pool.start()
    }

    /// Attempts that wait.
    var waitingCount: Int { state.withLock { $0.queue.count } }

    /// What it costs to refuse a name that no user has.
    var decoyCost: Int? { state.withLock { $0.decoy?.cost } }

    /// Replaces the users that the cluster keeps; one that the node's own file has too is the file's. Connections that
    /// have authenticated stay so.
    func share(_ shared: [String: User]) {
        let shared = shared.filter { users[$0.key] == nil }
        let decoy = Self.decoy(Array(users.values) + Array(shared.values))
        state.withLock { state in
            state.shared = shared
            state.sharedTenants = Set(shared.values.map(\.tenant))
            state.decoy = decoy
            state.known = state.known.filter { name, known in known.user == users[name] ?? shared[name] }
        }
    }

    /// The user of a name and password that were right before; `nil` says nothing about others. Takes microseconds.
    func knownUser(_ name: String, _ password: String) -> User? {
        let digest = digest(name, password)
        return state.withLock { state in
            guard let user = user(name, state), let known = state.known[name], known.user == user,
                ConstantTime.areEqual(known.digest, digest)
            else { return nil }
            return user
        }
    }

    /// The tenants of the users that the cluster keeps.
    var sharedTenants: Set<Tenant> { state.withLock { $0.sharedTenants } }

    /// Checks a name and password; `completion` is called once, here or on the checking thread.
    func check(
        _ name: String,
        _ password: String,
        from sender: Sender,
        _ completion: @escaping @Sendable (Outcome) -> Void
    ) {
        if let user = knownUser(name, password) { return completion(.accepted(user)) }
        let address = AddressFailures.key(sender.address)
        let attempt = Attempt(name: name, password: password, address: address, completion: completion)
        let now = ContinuousClock.now
        let mayWait = state.withLock { state in
            let hasAddressFailed = state.failures.count(of: address, at: now) > 0
            return state.queue.add(
                attempt,
                of: .init(address: address, user: user(name, state)?.name),
                sender.hasFailed ? .connectionFailed : hasAddressFailed ? .addressFailed : .clean
            )
        }
        guard mayWait else {
            note(name, address, "too many attempts wait")
            return completion(.overloaded)
        }
        // One turn for each attempt that waits; whose turn it is says the queue.
        pool.submit { [self] itemState in takeTurn(isActive: itemState == .active) }
    }

    /// Ends the thread; attempts that wait are refused.
    func stop() {
        pool.shutdownGracefully { _ in }
    }

    // MARK: On the checking thread

    private func takeTurn(isActive: Bool) {
        guard let attempt = state.withLock({ $0.queue.next() }) else { return }
        guard isActive else { return attempt.completion(.overloaded) }
        if let user = knownUser(attempt.name, attempt.password) { return attempt.completion(.accepted(user)) }
        let (asked, decoy) = state.withLock { (user(attempt.name, $0), $0.decoy) }
        let isRight = (asked?.password ?? decoy)?.verify(attempt.password) ?? false
        if isRight, let asked, remember(asked, attempt) { return attempt.completion(.accepted(asked)) }
        let now = ContinuousClock.now
        let factor = state.withLock { state in
            state.failures.record(attempt.address, at: now)
            return state.failures.delayFactor(of: attempt.address, at: now)
        }
        note(attempt.name, attempt.address, asked == nil ? "unknown user" : "wrong password")
        attempt.completion(.refused(delayFactor: factor))
    }

    /// Makes a right password known; false when the user is not any more what it was when the check began.
    private func remember(_ asked: User, _ attempt: Attempt) -> Bool {
        let digest = digest(attempt.name, attempt.password)
        return state.withLock { state in
            guard user(attempt.name, state) == asked else { return false }
            state.known[attempt.name] = Known(user: asked, digest: digest)
            return true
        }
    }

    // MARK: Helpers

    private func user(_ name: String, _ state: State) -> User? {
        users[name] ?? state.shared[name]
    }

    /// The hash that unknown names are checked against, and refused whatever the outcome: the costliest there is, so
    /// that an unknown name takes no less time than any user.
    private static func decoy(_ users: some Sequence<User>) -> PasswordHash? {
        users.compactMap(\.password).max { $0.cost < $1.cost }
    }

    private func note(_ name: String, _ address: String, _ reason: String) {
        guard let suppressedCount = state.withLock({ $0.log.note(at: .now) }) else { return }
        logger.warning(
            "an authentication failed",
            metadata: [
                // Quoted and shortened: it is whatever a stranger sent.
                "user": "\(String(name.unicodeScalars.prefix(Self.loggedNameCount)).debugDescription)",
                "address": "\(address)", "reason": "\(reason)",
                "not_logged_before": "\(suppressedCount)",
            ]
        )
    }

    /// Characters of a name that are logged.
    private static let loggedNameCount = 64

    private func digest(_ name: String, _ password: String) -> [UInt8] {
        var mac = HMAC<SHA256>(key: processKey)
        mac.update(data: Array(name.utf8) + [0])
        mac.update(data: Array(password.utf8))
        return Array(mac.finalize())
    }
}
