internal import Blocks
internal import RESP

#if canImport(Glibc)
    internal import Glibc
#endif

/// The thread behind one connection: connects, sends, receives straight into the memory of the calls, and
/// ends each call at its deadline.
///
/// It alone touches the memory that calls were given, and completes a call only after it has let go of it.
final class ConnectionThread: @unchecked Sendable {
    // SAFETY of @unchecked Sendable: only the thread that runs `run()` touches its state.
    let settings: ConnectionSettings
    let mailbox: Mailbox
    var pipeline = CallPipeline()
    var phase = Phase.idle
    var stream = ReplyStream()
    var describedCount = 0
    var handshakeFailure: LarderClientError?
    var isResolverBusy = false
    /// Whether the other node has not proved itself yet: nothing but the proof is sent.
    var isProving = false
    /// What the proof goes on with, once the answer before it has been dealt with.
    var nextGreeting: EncodedRequest?
    let attached: @Sendable (Attachment?) -> Void
    private var isClosing = false

    enum Phase {
        case idle
        case resolving
        case connecting(StreamSocket, later: ArraySlice<SocketAddress>, until: UInt64)
        case open(StreamSocket)
    }

    init(
        _ settings: ConnectionSettings,
        _ mailbox: Mailbox,
        _ attached: @escaping @Sendable (Attachment?) -> Void
    ) {
        self.attached = attached
        self.settings = settings
        self.mailbox = mailbox
    }

    var now: UInt64 { settings.health.clock.monotonicNanoseconds() }

    /// Serves the connection until it is closed.
    func run() {
        while true {
            takeMail()
            guard !isClosing else { break }
            expire()
            if case .idle = phase, !pipeline.isEmpty { resolve() }
            if case .open(let socket) = phase { send(socket) }
            waitForEvents()
        }
        attached(nil)
        pipeline.failAll(LarderClientError(.closed, "the client is closed"))
    }

    private func takeMail() {
        let mail = mailbox.take()
        for call in mail.calls { pipeline.add(call) }
        if let addresses = mail.addresses {
            isResolverBusy = false
            if case .resolving = phase { connect(addresses[...]) }
        }
        isClosing = isClosing || mail.isClosing
    }

    private func expire() {
        switch (pipeline.expire(at: now), phase) {
        case (.close(let failure), _):
            lost(.timedOut, failure)
        case (.keep, .connecting(_, let later, until: let end)) where end <= now:
            // The system would try this one less and less often, while the node may be back by now.
            if later.isEmpty { lost(.timedOut, .silent) } else { connect(later) }
        case (.keep, .connecting) where pipeline.isEmpty, (.keep, .resolving) where pipeline.isEmpty:
            // All who waited for the connection have gone without it.
            lost(.timedOut, .silent)
        case (.keep, _): return
        }
    }

    /// Gives the connection up.
    ///
    /// Calls that were not sent yet may try a new one, if this one ever worked.
    func lost(_ error: LarderClientError, _ failure: CircuitBreaker.Failure) {
        // A node that ends a connection nobody uses has not failed anybody.
        if !pipeline.isEmpty || failure == .silent { settings.health.failed(failure) }
        phase = .idle
        // First of all: whoever reads in place learns it before the node can reuse the memory for long.
        attached(nil)
        if stream.replyCount > 0 {
            pipeline.failSent(error)
        } else {
            pipeline.failAll(error)
        }
        stream = ReplyStream()
        describedCount = 0
        handshakeFailure = nil
        isProving = false
        nextGreeting = nil
    }

    // MARK: Waiting

    private func waitForEvents() {
        var entries = [pollfd(fd: mailbox.wakePipe.readEnd, events: Int16(POLLIN), revents: 0)]
        switch phase {
        case .idle, .resolving: break
        case .connecting(let socket, _, _):
            entries.append(pollfd(fd: socket.descriptor, events: Int16(POLLOUT), revents: 0))
        case .open(let socket):
            let events = POLLIN | (sendableCall == nil ? 0 : POLLOUT)
            entries.append(pollfd(fd: socket.descriptor, events: Int16(events), revents: 0))
        }
        // SAFETY: poll reads and writes the entries during the call.
        guard unsafe poll(&entries, nfds_t(entries.count), millisecondsToWait()) > 0 else { return }
        if entries[0].revents != 0 { mailbox.wakePipe.drain() }
        guard entries.count > 1, entries[1].revents != 0 else { return }
        switch phase {
        case .idle, .resolving: return
        case .connecting(let socket, let later, _): connected(socket, later)
        case .open(let socket): receive(socket)
        }
    }

    /// The call whose bytes may be sent next.
    var sendableCall: Call? {
        guard let call = pipeline.callToSend, !isProving || call.isGreeting else { return nil }
        return call
    }

    private func millisecondsToWait() -> Int32 {
        var next = pipeline.nextDeadline
        if case .connecting(_, _, until: let end) = phase { next = min(next ?? end, end) }
        guard let deadline = next else { return -1 }
        let now = now
        guard deadline > now else { return 0 }
        return Int32(clamping: (deadline - now) / 1_000_000 + 1)
    }
}
