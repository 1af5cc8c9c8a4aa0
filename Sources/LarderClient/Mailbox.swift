internal import Synchronization

/// What callers leave for a connection's thread.
final class Mailbox: Sendable {
    /// What was left since the last time.
    struct Mail {
        var calls: [Call] = []
        var addresses: [SocketAddress]?
        var isClosing = false
    }

    private struct State {
        var mail = Mail()
        var isAwake = false
    }

    let wakePipe: WakePipe
    private let state = Mutex(State())

    init(wakePipe: WakePipe) {
        self.wakePipe = wakePipe
    }

    /// Leaves a call; `false` when the box is closed.
    func post(_ call: Call) -> Bool {
        put { mail in
            guard !mail.isClosing else { return false }
            mail.calls.append(call)
            return true
        }
    }

    /// Leaves the result of a name's resolution.
    func post(addresses: [SocketAddress]) {
        _ = put { mail in
            mail.addresses = addresses
            return true
        }
    }

    /// Asks the thread to end.
    ///
    /// No call is taken from now on.
    func close() {
        _ = put { mail in
            mail.isClosing = true
            return true
        }
    }

    /// Takes what was left.
    func take() -> Mail {
        state.withLock { state in
            state.isAwake = false
            let mail = state.mail
            state.mail = Mail(isClosing: mail.isClosing)
            return mail
        }
    }

    private func put(_ change: (inout Mail) -> Bool) -> Bool {
        let (isTaken, mustWake) = state.withLock { state in
            let isTaken = change(&state.mail)
            let mustWake = isTaken && !state.isAwake
            if isTaken { state.isAwake = true }
            return (isTaken, mustWake)
        }
        if mustWake { wakePipe.wake() }
        return isTaken
    }
}
