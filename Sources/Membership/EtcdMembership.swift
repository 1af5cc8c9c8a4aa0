package import Blocks
package import Logging
package import Placement
internal import Synchronization

/// Members, namespaces and users as etcd keeps them.
///
/// Each node has a record of its own, bound to a lease that it keeps alive; a watch tells it of the others'. Whenever
/// the connection breaks, another one is made, to the next server: all is read again, the own record is put again when it
/// is gone, and the watch goes on from there. Until then the last list is in force. ``MemberDirectory`` says who goes
/// when, ``EtcdDirectory`` what records mean, ``Registration`` what is put; here is what is sent when.
package final class EtcdMembership: MembershipProvider {
    /// What is kept under the lock.
    struct State {
        var directory: EtcdDirectory?
        var ownBytes: [UInt8] = []
        /// Namespaces that were shared before the start.
        var early: [NamespaceDescription] = []
        var listener: (any MembershipListener)?
        var run: Task<Void, Never>?
        var leaves = false

        /// Waits for the first list to be told, or for the error of the start.
        var starting: CheckedContinuation<CacheError?, Never>?
        var isStarted = false
        var lastError: CacheError?
        var told = Told()
        /// Whether the listener is still to hear that the node's record was not there.
        var hasLostPlace = false

        var isConnected = false
        var heardAt: ContinuousClock.Instant?
        var lossCount = 0
        var reregistrationCount = 0
        /// Problems that were logged and last.
        var loggedProblems: Set<String> = []

        /// Wakes the session that there is.
        var wake: AsyncStream<Void>.Continuation?
        /// Wakes who tells the listener.
        var news: AsyncStream<Void>.Continuation?
    }

    /// What the listener was told last.
    struct Told {
        var revision: UInt64 = 0
        var members: [Member] = []
        var users: [String: String] = [:]
        var readRevision: Int64 = 0
        var recordRevision: Int64 = 0

        init() {}

        init(_ directory: EtcdDirectory) {
            revision = directory.members.revision
            members = directory.members.members
            users = directory.shared.users
            readRevision = directory.revision
            recordRevision = directory.recordRevision
        }
    }

    let configuration: EtcdConfiguration
    let layout: EtcdLayout
    let logger: Logger
    let state = Mutex(State())

    /// Most namespaces that are put in one turn.
    static let shareCountMax = 64
    /// Longest that leaving takes.
    static let leaveTimeout: Duration = .seconds(3)

    /// Takes what there is to know about etcd; `logger` hears of members that come and go, and of etcd's absences.
    package init(_ configuration: EtcdConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        layout = EtcdLayout(prefix: configuration.prefix)
    }

    package var status: MembershipStatus {
        state.withLock { state in
            let silence = state.heardAt.map { ContinuousClock.now - $0 } ?? .zero
            return MembershipStatus(
                source: configuration.source,
                isConnected: state.isConnected,
                silenceSeconds: silence / .seconds(1),
                lossCount: state.lossCount,
                reregistrationCount: state.reregistrationCount,
                skippedRecordCount: state.directory?.skippedCount ?? 0
            )
        }
    }

    /// - Throws: also `.unauthorized` for wrong credentials, `.conflict` when another node has the name.
    package func start(_ own: Member, _ listener: any MembershipListener) async throws(CacheError) {
        let bytes = try MemberRecord.bytes(of: own)
        let isNew = state.withLock { state in
            guard state.directory == nil else { return false }
            let members = MemberDirectory(
                own: own,
                graceTime: configuration.graceTime,
                silenceMax: configuration.memberTTL / 2
            )
            var directory = EtcdDirectory(layout: layout, members: members)
            for description in state.early { _ = directory.shared.share(description) }
            state.directory = directory
            state.early = []
            state.ownBytes = bytes
            state.listener = listener
            return true
        }
        guard isNew else { throw CacheError(.invalidArgument, "a membership is started once") }
        let error = await withCheckedContinuation { continuation in
            state.withLock { state in
                state.starting = continuation
                state.run = Task { await self.run() }
            }
        }
        guard let error else { return }
        await stop(leaves: false)
        throw error
    }

    package func update(_ own: Member) {
        do {
            let bytes = try MemberRecord.bytes(of: own)
            state.withLock { state in
                guard own.name == state.directory?.members.own.name else { return }
                state.directory?.members.update(own)
                state.ownBytes = bytes
                state.wake?.yield()
                state.news?.yield()
            }
        } catch {
            logger.error("what this node says about itself cannot be told", metadata: ["reason": "\(error)"])
        }
    }

    package func share(_ description: NamespaceDescription) {
        let isTaken = state.withLock { state in
            guard state.directory != nil else {
                guard state.early.count < SharedDirectory.countMax else { return false }
                state.early.append(description)
                return true
            }
            defer { state.wake?.yield() }
            return state.directory?.shared.share(description) ?? false
        }
        if !isTaken {
            warnOnce("too many namespaces: those beyond \(SharedDirectory.countMax) are not shared")
        }
    }

    package func stop(leaves: Bool) async {
        let run = state.withLock { state in
            state.leaves = leaves
            state.wake?.yield()
            return state.run
        }
        guard let run else { return }
        let limit = Task {
            if leaves { try? await Task.sleep(for: Self.leaveTimeout) }
            run.cancel()
        }
        await run.value
        limit.cancel()
        state.withLock { state in
            state.listener = nil
            state.isConnected = false
        }
    }

    /// Connects again and again, until it is cancelled or the node has left.
    private func run() async {
        let (news, teller) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        state.withLock { $0.news = teller }
        await withDiscardingTaskGroup { group in
            group.addTask { for await _ in news { self.tellNews() } }
            group.addTask {
                try? await Task.sleep(for: self.configuration.startTimeout)
                self.endStart(with: self.state.withLock { $0.lastError } ?? self.startTimedOut)
            }
            await connectAgainAndAgain()
            group.cancelAll()
        }
        endStart(with: startTimedOut)
    }

    private func connectAgainAndAgain() async {
        var failureCount = 0
        var place = 0
        while !Task.isCancelled {
            let endpoint = configuration.endpoints[place]
            place = (place + 1) % configuration.endpoints.count
            do {
                try await session(endpoint)
                return
            } catch {
                guard !Task.isCancelled else { return }
                let error = EtcdError.cacheError(error, endpoint)
                let (wasConnected, isStarted) = lost(error)
                failureCount = wasConnected ? 0 : failureCount + 1
                let isFinal = [.unauthorized, .conflict, .invalidArgument].contains(error.code)
                if isFinal, !isStarted { return endStart(with: error) }
            }
            try? await Task.sleep(for: pause(after: failureCount))
        }
    }

    /// Doubled with each round of servers that failed, and spread, so that nodes do not come all at once.
    private func pause(after failureCount: Int) -> Duration {
        let roundCount = min(failureCount / configuration.endpoints.count, 10)
        return min(.milliseconds(100 << roundCount), configuration.pauseMax) * Double.random(in: 0.5...1)
    }

    private func lost(_ error: CacheError) -> (wasConnected: Bool, isStarted: Bool) {
        let now = state.withLock { state in
            let wasConnected = state.isConnected
            state.isConnected = false
            state.lastError = error
            state.directory?.members.lost()
            if wasConnected { state.lossCount += 1 }
            return (wasConnected, state.isStarted)
        }
        if now.0 {
            logger.warning(
                "etcd is away; the last list of members stays in force",
                metadata: ["reason": "\(error)"]
            )
        } else {
            warnOnce("etcd does not answer as it should", error.description)
        }
        return now
    }

    private var startTimedOut: CacheError {
        CacheError(.tierUnavailable, "etcd at \(configuration.source) did not answer in time")
    }

    /// The start is over, if it is not yet: with the first list, or with an error.
    private func endStart(with error: CacheError?) {
        let starting = state.withLock { state in
            defer { state.starting = nil }
            if error == nil { state.isStarted = true }
            return state.starting
        }
        starting?.resume(returning: error)
    }

    /// Tells the listener what it does not know yet. Called by one task, so in order.
    private func tellNews() {
        let (directory, former, listener) = state.withLock { state in
            // Nothing before all that etcd has is known.
            guard state.isConnected || state.isStarted, let directory = state.directory else {
                return (nil as EtcdDirectory?, state.told, state.listener)
            }
            let former = state.told
            state.told = Told(directory)
            _ = state.directory?.shared.takeNews()
            return (directory, former, state.listener)
        }
        guard var directory, let listener else { return }
        let hasLostPlace = state.withLock { state in
            defer { state.hasLostPlace = false }
            return state.hasLostPlace
        }
        if hasLostPlace { listener.placeWasLost() }
        if directory.members.revision != former.revision {
            let members = directory.members.members
            log(members, former.members)
            listener.membersChanged(members, revision: directory.members.revision)
        }
        // After the members: what is said by this revision is said of them.
        if directory.revision != former.readRevision || directory.recordRevision != former.recordRevision {
            listener.sourceWasRead(
                upTo: UInt64(clamping: directory.revision),
                ownRecordAt: UInt64(clamping: directory.recordRevision)
            )
        }
        let namespaces = directory.shared.takeNews()
        if !namespaces.isEmpty { listener.namespacesShared(namespaces) }
        if directory.shared.users != former.users {
            logger.info("users have changed in etcd", metadata: ["count": "\(directory.shared.users.count)"])
            listener.usersChanged(directory.shared.users.values.sorted())
        }
        endStart(with: nil)
    }

    private func log(_ members: [Member], _ former: [Member]) {
        let before = Dictionary(uniqueKeysWithValues: former.map { ($0.name, $0) })
        let after = Set(members.map(\.name))
        for member in members where before[member.name] != member {
            let what = before[member.name] == nil ? "a member has joined" : "a member has changed"
            logger.info(
                "\(what)",
                metadata: [
                    "member": "\(member.name)", "address": "\(member.host):\(member.port)",
                    "state": "\(member.state)", "weight": "\(member.weight)",
                ]
            )
        }
        for member in former where !after.contains(member.name) {
            logger.info("a member has gone", metadata: ["member": "\(member.name)"])
        }
    }

    /// Logs a problem unless it was logged since etcd was last found well.
    func warnOnce(_ problem: String, _ reason: String = "") {
        let isNew = state.withLock {
            $0.loggedProblems.count < 64 && $0.loggedProblems.insert(problem + reason).inserted
        }
        if isNew { logger.warning("\(problem)", metadata: reason.isEmpty ? nil : ["reason": "\(reason)"]) }
    }
}
