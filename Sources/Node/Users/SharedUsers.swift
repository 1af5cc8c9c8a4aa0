internal import Logging
internal import Synchronization

/// Users that the cluster's etcd keeps, on their way to the node's authenticator.
final class SharedUsers: Sendable {
    private struct State {
        weak var authenticator: Authenticator?
        var lines: [String] = []
        var hasBegun = false
    }

    private let state = Mutex(State())
    private let logger: Logger

    init(logger: Logger) {
        self.logger = logger
    }

    /// Takes the authenticator; a node without users of its own has none, and stays open to who reaches it.
    func begin(_ authenticator: Authenticator?) {
        state.withLock { state in
            state.authenticator = authenticator
            state.hasBegun = true
        }
        tell()
    }

    /// The cluster's users are these lines now.
    func changed(_ lines: [String]) {
        state.withLock { $0.lines = lines }
        tell()
    }

    private func tell() {
        let (authenticator, lines, hasBegun) = state.withLock { ($0.authenticator, $0.lines, $0.hasBegun) }
        guard hasBegun, !lines.isEmpty || authenticator != nil else { return }
        guard let authenticator else {
            logger.warning(
                "the cluster keeps users, but this node was started without --users and asks nobody"
            )
            return
        }
        let (users, skippedCount) = UserFile.users(ofLines: lines)
        if skippedCount > 0 {
            logger.warning(
                "users of the cluster were skipped: their lines are not those of a users file",
                metadata: ["count": "\(skippedCount)"]
            )
        }
        authenticator.share(users)
    }
}
