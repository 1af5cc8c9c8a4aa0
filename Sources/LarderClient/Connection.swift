internal import Blocks
internal import RESP
internal import Synchronization

/// One connection to a node, made when it is first used and again when it was lost, with a thread of its own.
final class Connection: Sendable {
    private enum State {
        case fresh
        case running(Mailbox)
        case closed
    }

    private let state = Mutex(State.fresh)
    private let pending = Atomic<Int>(0)
    private let settings: ConnectionSettings
    private let sharing = Mutex<Attachment?>(nil)

    init(_ settings: ConnectionSettings) {
        self.settings = settings
    }

    /// Calls waiting or under way.
    var pendingCallCount: Int { pending.load(ordering: .relaxed) }

    /// The node's memory, if this connection has been given it and is up.
    var attachment: Attachment? { sharing.withLock { $0 } }

    /// Called by the connection's thread: what may be read in place from now on, or nothing any more.
    func attached(_ attachment: Attachment?) {
        let former = sharing.withLock { sharing in
            defer { sharing = attachment }
            return sharing
        }
        former?.end()
    }

    /// Sends a request; `completion` runs once in any case, at the deadline at the latest.
    func submit(
        _ request: EncodedRequest,
        receiver: any ReplyReceiver,
        timeout: Duration,
        _ completion: @escaping @Sendable (Result<Void, LarderClientError>) -> Void
    ) {
        let count = pending.add(1, ordering: .relaxed).oldValue
        let call = Call(
            request,
            receiver: receiver,
            now: settings.health.clock.monotonicNanoseconds(),
            timeout: timeout.nanoseconds
        ) { [self] result in
            pending.subtract(1, ordering: .relaxed)
            completion(result)
        }
        guard count < settings.configuration.pendingCallCountMax else {
            return call.complete(.failure(LarderClientError(.overloaded, "too many calls wait for the node")))
        }
        switch mailbox() {
        case .success(let mailbox):
            guard mailbox.post(call) else {
                return call.complete(.failure(LarderClientError(.closed, "the client is closed")))
            }
        case .failure(let error): call.complete(.failure(error))
        }
    }

    /// Ends the connection, and its calls.
    func close() {
        state.withLock { state in
            if case .running(let mailbox) = state { mailbox.close() }
            state = .closed
        }
    }

    private func mailbox() -> Result<Mailbox, LarderClientError> {
        state.withLock { state in
            switch state {
            case .running(let mailbox): return .success(mailbox)
            case .closed: return .failure(LarderClientError(.closed, "the client is closed"))
            case .fresh:
                let settings = settings
                guard let pipe = WakePipe() else {
                    return .failure(
                        LarderClientError(.unreachable, "the process has no file descriptors left")
                    )
                }
                let mailbox = Mailbox(wakePipe: pipe)
                let attached: @Sendable (Attachment?) -> Void = { [weak self] in self?.attached($0) }
                guard DetachedThread.start({ ConnectionThread(settings, mailbox, attached).run() }) else {
                    return .failure(
                        LarderClientError(.unreachable, "the system gives the process no more threads")
                    )
                }
                state = .running(mailbox)
                return .success(mailbox)
            }
        }
    }
}

/// What the connections of one client share.
struct ConnectionSettings: Sendable {
    let configuration: LarderClientConfiguration
    let namespaces: NamespaceRegistry
    let health: EndpointHealth
    let counters: ClientCounters
    let arenas = SharedArenaTable()
}
