internal import RESP

/// The calls of one connection, from their arrival to their end, and what their deadlines ask for.
///
/// No sockets, no clock: the connection's thread tells it what happened and when.
///
/// A call whose time is over is a miss for its caller at once. Whether the connection is given up with it depends on
/// whose fault it is: a call that had the line to itself for at least half of its time and got no whole reply says
/// that the node is slow, and so does one that could not even be sent whole. A call that was only waiting behind
/// others is abandoned, its reply is read over when it comes, and the others go on.
struct CallPipeline {
    /// What an expiry means for the connection.
    enum Verdict: Equatable {
        /// Go on.
        case keep
        /// Close it: bytes of its stream are owed that nobody waits for. The failure is for the breaker.
        case close(CircuitBreaker.Failure)
    }

    private var unsent: [Call] = []
    private var sent: [Call] = []
    private var movedAt: UInt64 = 0

    /// Whether no call is here, abandoned ones included.
    var isEmpty: Bool { unsent.isEmpty && sent.isEmpty }

    /// The oldest call that waits for its reply: the one that the next bytes belong to.
    var head: Call? { sent.first }

    /// The call whose bytes are to be sent next.
    var callToSend: Call? {
        if let last = sent.last, last.isPartlySent { last } else { unsent.first }
    }

    /// How long the first call in line may take; for a handshake before it.
    var firstTimeout: UInt64? { unsent.first?.timeout }

    /// When to call ``expire(at:)`` next.
    var nextDeadline: UInt64? {
        let waiting = (unsent + sent).lazy.filter { !$0.isAbandoned }.map(\.deadline).min()
        guard let head, head.isAbandoned else { return waiting }
        return min(head.headSince &+ head.timeout, waiting ?? .max)
    }

    /// A call comes in.
    mutating func add(_ call: Call) {
        unsent.append(call)
    }

    /// A call of the connection itself comes in: it goes before those of others, and behind its like.
    mutating func addGreeting(_ call: Call) {
        unsent.insert(call, at: unsent.firstIndex { !$0.isGreeting } ?? unsent.endIndex)
    }

    /// Bytes of ``callToSend`` went out.
    mutating func sent(at now: UInt64) {
        movedAt = now
        guard let first = unsent.first, first.progress.byteCount > 0 else { return }
        if sent.isEmpty { first.headSince = now }
        sent.append(unsent.removeFirst())
    }

    /// Bytes came in.
    mutating func received(at now: UInt64) {
        movedAt = now
    }

    /// The head's reply is whole.
    mutating func headAnswered(at now: UInt64) {
        guard let call = head else { return }
        sent.removeFirst()
        head?.headSince = now
        call.complete(.success(()))
    }

    /// Ends the calls whose time is over.
    mutating func expire(at now: UInt64) -> Verdict {
        unsent.removeAll { call in
            guard call.deadline <= now else { return false }
            call.complete(.failure(.timedOut))
            return true
        }
        var guilty: Call?
        for (index, call) in sent.enumerated() {
            if index == 0 ? isHeadGuilty(call, now) : call.isPartlySent && call.deadline <= now {
                guilty = call
            }
            if call.deadline <= now { call.complete(.failure(.timedOut)) }
        }
        guard let guilty else { return .keep }
        return .close(now &- movedAt >= guilty.timeout / 2 ? .silent : .failed)
    }

    private func isHeadGuilty(_ head: Call, _ now: UInt64) -> Bool {
        guard head.deadline <= now else { return false }
        let hadLine = head.deadline >= head.headSince && head.deadline - head.headSince >= head.timeout / 2
        return hadLine || head.isPartlySent || now >= head.headSince &+ head.timeout
    }

    /// The connection is lost: ends the calls that were sent, in part or whole.
    mutating func failSent(_ error: LarderClientError) {
        let lost = sent
        sent = []
        for call in lost { call.complete(.failure(error)) }
    }

    /// Ends all calls.
    mutating func failAll(_ error: LarderClientError) {
        failSent(error)
        let lost = unsent
        unsent = []
        for call in lost { call.complete(.failure(error)) }
    }
}

extension LarderClientError {
    static let timedOut = LarderClientError(.timedOut, "the node did not answer in time")
}
