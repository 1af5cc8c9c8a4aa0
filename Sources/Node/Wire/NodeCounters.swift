internal import Synchronization

/// One figure that only grows, or goes up and down.
final class Counter: Sendable {
    private let count = Atomic<Int>(0)

    /// The figure now.
    var value: Int { count.load(ordering: .relaxed) }

    /// Adds to it.
    func add(_ amount: Int = 1) { count.wrappingAdd(amount, ordering: .relaxed) }

    /// Adds one and returns what it became.
    func increment() -> Int { count.wrappingAdd(1, ordering: .relaxed).newValue }
}

/// What the listeners and connections count; the store counts blocks itself.
final class NodeCounters: Sendable {
    let connectionsNow = Counter()
    let connectionsAccepted = Counter()
    let connectionsRefused = Counter()
    let commands = Counter()
    let errorReplies = Counter()
    let protocolErrors = Counter()
    let authenticationFailures = Counter()
    let receivedBytes = Counter()
    let sentBytes = Counter()
    let payloadBytesInPlace = Counter()
    let payloadBytesCopied = Counter()
    let payloadBytesDiscarded = Counter()
    let paddedNils = Counter()
    let lmPutsRefused = Counter()
    let inputOverflows = Counter()
    /// Turns of an event loop that ended before their request did.
    let turnsEnded = Counter()
    private let cuts: [ConnectionWatch.Verdict: Counter]

    init() {
        var cuts: [ConnectionWatch.Verdict: Counter] = [:]
        for verdict in ConnectionWatch.Verdict.allCases { cuts[verdict] = Counter() }
        self.cuts = cuts
    }

    /// Counts a connection that was cut.
    func cut(_ verdict: ConnectionWatch.Verdict) { cuts[verdict]?.add() }

    /// How many were cut for a reason.
    func cutCount(_ verdict: ConnectionWatch.Verdict) -> Int { cuts[verdict]?.value ?? 0 }

    /// All figures by name, in a stable order.
    var fields: [(name: String, value: Int)] {
        var all = [
            ("connections", connectionsNow.value), ("connections_accepted", connectionsAccepted.value),
            ("connections_refused", connectionsRefused.value), ("commands", commands.value),
            ("error_replies", errorReplies.value), ("protocol_errors", protocolErrors.value),
            ("authentication_failures", authenticationFailures.value),
            ("received_bytes", receivedBytes.value),
            ("sent_bytes", sentBytes.value), ("payload_bytes_in_place", payloadBytesInPlace.value),
            ("payload_bytes_copied", payloadBytesCopied.value),
            ("payload_bytes_discarded", payloadBytesDiscarded.value), ("padded_nils", paddedNils.value),
            ("lm_puts_refused", lmPutsRefused.value), ("input_overflows", inputOverflows.value),
            ("loop_turns_ended", turnsEnded.value),
        ]
        for verdict in ConnectionWatch.Verdict.allCases {
            all.append(("connections_cut_\(verdict.fieldName)", cutCount(verdict)))
        }
        return all.map { (name: $0.0, value: $0.1) }
    }
}

extension ConnectionWatch.Verdict {
    /// The reason in a figure's name.
    var fieldName: String {
        switch self {
        case .handshake: "handshake"
        case .slowSender: "slow_sender"
        case .slowReader: "slow_reader"
        case .idle: "idle"
        }
    }
}
