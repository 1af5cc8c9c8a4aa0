internal import NIOCore
internal import Synchronization

/// The connections of the control plane. A connection is a stranger's until one of its calls was allowed: a health check
/// makes nobody known. Strangers never keep users out, as the oldest stranger's connection makes room for a new one.
final class ConnectionBook: Sendable {
    /// Names a connection in the book, and not another one that has the same address later.
    private struct Entry {
        let id: UInt64
        let channel: any Channel
        let handler: NIOLoopBound<StrangerHandler>
        var isKnown = false
        var hasCalled = false
        var callCount = 0
        var failureCount = 0
    }

    private struct State {
        var entries: [String: Entry] = [:]
        var nextID: UInt64 = 0
    }

    private let state = Mutex(State())
    private let limits: ControlLimits
    private let counters: ControlCounters

    init(_ limits: ControlLimits, _ counters: ControlCounters) {
        self.limits = limits
        self.counters = counters
    }

    /// Takes a connection in, and closes a stranger's or this one when there is no room. On the connection's event loop.
    func accept(_ channel: any Channel) -> EventLoopFuture<Void> {
        let counters = counters
        let handler = NIOLoopBound(
            StrangerHandler(byteCountMax: limits.strangerByteCountMax) { counters.add(.strangersPaused) },
            eventLoop: channel.eventLoop
        )
        guard let name = channel.remoteAddress?.peerName else {
            channel.close(promise: nil)
            return channel.eventLoop.makeSucceededVoidFuture()
        }
        let (id, loser) = enter(name, channel, handler)
        if let loser {
            counters.add(.connectionsReplaced)
            loser.close(promise: nil)
        }
        guard let id else {
            counters.add(.connectionsRefused)
            channel.close(promise: nil)
            return channel.eventLoop.makeSucceededVoidFuture()
        }
        channel.closeFuture.whenComplete { [self] _ in remove(name, id) }
        let timeout = channel.eventLoop.scheduleTask(in: TimeAmount(limits.firstCallTimeout)) { [self] in
            guard isWithoutCall(name, id) else { return }
            counters.add(.connectionsWithoutCall)
            channel.close(promise: nil)
        }
        channel.closeFuture.whenComplete { _ in timeout.cancel() }
        return channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(handler.value, position: .first)
        }
    }

    /// A call has come on a connection; it has ended when what is returned goes. `nil` when the connection has gone.
    func callBegan(on name: String) -> ConnectionCall? {
        let id = state.withLock { state -> UInt64? in
            state.entries[name]?.hasCalled = true
            state.entries[name]?.callCount += 1
            return state.entries[name]?.id
        }
        return id.map { ConnectionCall(self, name, $0) }
    }

    fileprivate func callEnded(_ name: String, _ id: UInt64) {
        let entry = state.withLock { state -> Entry? in
            guard state.entries[name]?.id == id else { return nil }
            state.entries[name]?.callCount -= 1
            return state.entries[name]
        }
        guard let entry, !entry.isKnown else { return }
        entry.channel.eventLoop.execute { entry.handler.value.refill() }
    }

    fileprivate func becameKnown(_ name: String, _ id: UInt64) {
        let entry = state.withLock { state -> Entry? in
            guard let entry = state.entries[name], entry.id == id, !entry.isKnown else { return nil }
            state.entries[name]?.isKnown = true
            return entry
        }
        guard let entry else { return }
        entry.channel.eventLoop.execute { entry.handler.value.admit() }
    }

    fileprivate func hasFailed(_ name: String, _ id: UInt64) -> Bool {
        state.withLock { $0.entries[name].map { $0.id == id && $0.failureCount > 0 } ?? false }
    }

    fileprivate func failed(_ name: String, _ id: UInt64) {
        let channel = state.withLock { state -> (any Channel)? in
            guard let entry = state.entries[name], entry.id == id else { return nil }
            state.entries[name]?.failureCount += 1
            return entry.failureCount + 1 == limits.authenticationFailureCountMax ? entry.channel : nil
        }
        guard let channel else { return }
        counters.add(.connectionsFailed)
        // Once the answer to the last attempt has left.
        channel.eventLoop.scheduleTask(in: TimeAmount(limits.closingDelay)) { channel.close(promise: nil) }
    }

    // MARK: Helpers

    private func enter(
        _ name: String,
        _ channel: any Channel,
        _ handler: NIOLoopBound<StrangerHandler>
    ) -> (id: UInt64?, loser: (any Channel)?) {
        state.withLock { state in
            var loser: Entry?
            if state.entries.count >= limits.connectionCountMax {
                // The oldest stranger goes, one without calls first.
                let strangers = state.entries.filter { !$0.value.isKnown }
                guard
                    let found = strangers.min(by: {
                        ($0.value.callCount > 0 ? 1 : 0, $0.value.id) < (
                            $1.value.callCount > 0 ? 1 : 0, $1.value.id
                        )
                    })
                else { return (nil, nil) }
                loser = state.entries.removeValue(forKey: found.key)
            }
            state.nextID &+= 1
            state.entries[name] = Entry(id: state.nextID, channel: channel, handler: handler)
            return (state.nextID, loser?.channel)
        }
    }

    private func remove(_ name: String, _ id: UInt64) {
        state.withLock { state in
            if state.entries[name]?.id == id { state.entries[name] = nil }
        }
    }

    private func isWithoutCall(_ name: String, _ id: UInt64) -> Bool {
        state.withLock { $0.entries[name].map { $0.id == id && !$0.hasCalled } ?? false }
    }
}

/// A call's connection; the call has ended when this goes.
final class ConnectionCall: Sendable {
    private let book: ConnectionBook
    private let name: String
    private let id: UInt64

    fileprivate init(_ book: ConnectionBook, _ name: String, _ id: UInt64) {
        self.book = book
        self.name = name
        self.id = id
    }

    deinit { book.callEnded(name, id) }

    /// Whether a password was wrong on the connection.
    var hasFailed: Bool { book.hasFailed(name, id) }

    /// Counts a wrong password; too many close the connection.
    func failed() { book.failed(name, id) }

    /// Says that the connection's sender may make calls.
    func becameKnown() { book.becameKnown(name, id) }
}

extension SocketAddress {
    /// The address as the context of a call names its peer.
    fileprivate var peerName: String? {
        switch self {
        case .v4(let address): port.map { "ipv4:\(address.host):\($0)" }
        case .v6(let address): port.map { "ipv6:[\(address.host)]:\($0)" }
        case .unixDomainSocket: nil
        }
    }
}
