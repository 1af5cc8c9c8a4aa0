internal import Blocks
internal import Crypto
internal import NIOPosix
internal import Synchronization

/// Checks passwords, on a thread of its own because that is slow on purpose.
///
/// A password that was right once is known again by a keyed digest under a key of this process, so that a pool of
/// connections does not hash its password once each.
final class Authenticator: Sendable {
    /// What an attempt came to.
    enum Outcome: Sendable {
        case accepted(User)
        case refused
        /// Too many attempts wait for the thread.
        case overloaded
    }

    private struct State {
        /// Users that the cluster keeps, beside the node's own.
        var shared: [String: User] = [:]
        var knownDigests: [String: [UInt8]] = [:]
        var waitingCount = 0
    }

    private let users: [String: User]
    private let processKey = SymmetricKey(size: .bits256)
    private let decoy: PasswordHash?
    private let pool = NIOThreadPool(numberOfThreads: 1)
    private let state = Mutex(State())

    /// Most attempts that wait for the thread.
    static let waitingCountMax = 512

    init(_ file: UserFile) {
        users = file.users
        // Unknown names take as long as known ones, and are refused whatever the outcome.
        decoy = file.users.values.first?.password
        pool.start()
    }

    /// Replaces the users that the cluster keeps; one that the node's own file has too is the file's. Connections that
    /// have authenticated stay so.
    func share(_ shared: [String: User]) {
        state.withLock { state in
            for (name, user) in state.shared where shared[name] != user { state.knownDigests[name] = nil }
            state.shared = shared.filter { users[$0.key] == nil }
        }
    }

    /// The tenants of the users that the cluster keeps.
    var sharedTenants: Set<Tenant> { state.withLock { Set($0.shared.values.map(\.tenant)) } }

    /// Checks a name and password; `completion` is called once, here or on the checking thread.
    func check(_ name: String, _ password: String, _ completion: @escaping @Sendable (Outcome) -> Void) {
        let user = users[name] ?? state.withLock { $0.shared[name] }
        let digest = digest(name, password)
        let isKnown = state.withLock { state in
            state.knownDigests[name].map { ConstantTime.areEqual($0, digest) } ?? false
        }
        if isKnown, let user { return completion(.accepted(user)) }
        let mayWait = state.withLock { state in
            guard state.waitingCount < Self.waitingCountMax else { return false }
            state.waitingCount += 1
            return true
        }
        guard mayWait else { return completion(.overloaded) }
        pool.submit { [self] itemState in
            let isRight = itemState == .active && ((user?.password ?? decoy)?.verify(password) ?? false)
            state.withLock { state in
                state.waitingCount -= 1
                if isRight, user != nil { state.knownDigests[name] = digest }
            }
            if isRight, let user { completion(.accepted(user)) } else { completion(.refused) }
        }
    }

    /// Ends the thread; attempts that wait are refused.
    func stop() {
        pool.shutdownGracefully { _ in }
    }

    private func digest(_ name: String, _ password: String) -> [UInt8] {
        var mac = HMAC<SHA256>(key: processKey)
        mac.update(data: Array(name.utf8) + [0])
        mac.update(data: Array(password.utf8))
        return Array(mac.finalize())
    }
}
