/// Judges whether a connection moves fast enough. Pure: told what happened since the last look, it says what to do.
///
/// Time is counted in looks, each at most `lookMax` long, so that a node which itself was stopped for a while does not
/// take that for its clients' silence.
struct ConnectionWatch {
    /// Why a connection is cut.
    enum Verdict: String, CaseIterable, Hashable {
        /// Did not authenticate in time.
        case handshake
        /// A request that began did not arrive at the least rate.
        case slowSender
        /// Replies waited and none were taken.
        case slowReader
        /// No request for too long.
        case idle
    }

    private let limits: ConnectionLimits
    private var handshake: Duration = .zero
    private var authentication: Duration = .zero
    private var idle: Duration = .zero
    private var credit = 0.0
    private var receivedByteCount: UInt64 = 0
    private var unread: Duration = .zero
    private var requestCount: UInt64 = 0
    private var sentByteCount: UInt64 = 0

    /// Longest time that one look counts for.
    static let lookMax: Duration = .milliseconds(1000)

    init(limits: ConnectionLimits) {
        self.limits = limits
    }

    /// Looks at the connection again.
    ///
    /// - Parameters:
    ///   - elapsed: time since the last look.
    ///   - progress: where the driver stands.
    ///   - sentByteCount: bytes that the client has taken since the connection began.
    ///   - waitingByteCount: bytes that wait to be taken.
    mutating func look(
        after elapsed: Duration,
        _ progress: ConnectionProgress,
        sentByteCount: UInt64,
        waitingByteCount: Int
    ) -> Verdict? {
        let elapsed = min(elapsed, Self.lookMax)
        let hasNewRequest = progress.requestCount != requestCount
        requestCount = progress.requestCount
        let hasSent = sentByteCount != self.sentByteCount
        self.sentByteCount = sentByteCount

        unread = waitingByteCount == 0 || hasSent ? .zero : unread + elapsed
        if unread >= limits.slowReaderTimeout { return .slowReader }

        if progress.isHandshaking {
            authentication += elapsed
            if !progress.isWorking { handshake += elapsed }
            if handshake >= limits.handshakeTimeout || authentication >= limits.authenticationTimeout {
                return .handshake
            }
        }

        let received = progress.receivedByteCount &- receivedByteCount
        receivedByteCount = progress.receivedByteCount
        if progress.isReceiving, !hasNewRequest {
            // Bytes buy time at the least rate; a sender that was fast for long may pause for a bounded while.
            let least = max(
                Double(max(1, limits.frameBytesPerSecondMin)),
                Double(progress.payloadByteCount) / max(1, limits.payloadTimeout.inSeconds)
            )
            let bought = Double(received) / least
            credit = min(credit + bought, limits.frameCreditMax.inSeconds) - elapsed.inSeconds
            if credit < -limits.frameGrace.inSeconds { return .slowSender }
        } else if !progress.isWorking {
            credit = 0
        }

        let isIdle = !hasNewRequest && !progress.isReceiving && !progress.isWorking && waitingByteCount == 0
        idle = isIdle ? idle + elapsed : .zero
        if limits.idleTimeout > .zero, idle >= limits.idleTimeout { return .idle }
        return nil
    }
}

extension Duration {
    /// The duration in seconds.
    var inSeconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}
