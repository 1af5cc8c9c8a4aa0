internal import Blocks
internal import RESP
internal import Synchronization

/// Part of a load that is copied out of the node's own memory: borrowed, copied, proved, given back.
final class SharedLoad: Sendable {
    private struct Outcome {
        var byteCounts: [Int?]
        var heldIndices: [Int] = []
        var damagedCount = 0
    }

    private let sink: any PayloadSink
    private let keys: Range<Int>
    private let connection: Connection
    private let attachment: Attachment
    private let timeout: Duration
    private let receiver: GrantReceiver
    private let outcome: Mutex<Outcome>

    /// A load of the payloads of `keys`, which are numbered in the whole load.
    init(
        _ sink: any PayloadSink,
        keys: Range<Int>,
        over connection: Connection,
        _ attachment: Attachment,
        timeout: Duration
    ) {
        self.sink = sink
        self.keys = keys
        self.connection = connection
        self.attachment = attachment
        self.timeout = timeout
        receiver = GrantReceiver { [connection] in connection.giveBack(Loan(late: $0), timeout: timeout) }
        outcome = Mutex(Outcome(byteCounts: Array(repeating: nil, count: keys.count)))
    }

    /// The request; `request` is KV.BORROW of the keys.
    func part(_ request: EncodedRequest) -> NodeLink.Part {
        NodeLink.Part(request: request, receiver: receiver, connection: connection) { [self] in copyOut() }
    }

    /// For each key, the bytes that arrived; `nil` where the payload is missing, has no place, or is not proved.
    var byteCounts: [Int?] { outcome.withLock { $0.byteCounts } }

    /// Keys, numbered in the whole load, whose blocks the node has and did not lend: KV.GET gives them.
    var heldIndices: [Int] { outcome.withLock { $0.heldIndices } }

    /// Payloads whose bytes were not those of their checksum.
    var damagedCount: Int { outcome.withLock { $0.damagedCount } }

    private func copyOut() {
        guard let loan = Loan(receiver.reply, keyCount: keys.count) else {
            // Not what KV.BORROW answers: the plain way is asked.
            return outcome.withLock { $0.heldIndices = Array(keys) }
        }
        for (index, answer) in loan.answers.enumerated() {
            switch answer {
            case .lent(let place): copy(place, toKeyAt: index)
            case .held: outcome.withLock { $0.heldIndices.append(keys.lowerBound + index) }
            case .absent: break
            }
        }
        connection.giveBack(loan.id, timeout: timeout)
    }

    private func copy(_ place: Loan.Place, toKeyAt index: Int) {
        guard let region = unsafe sink.region(forKeyAt: keys.lowerBound + index, byteCount: place.byteCount),
            region.count == place.byteCount,
            let source = unsafe attachment.arena.part(offset: place.offset, byteCount: place.byteCount)
        else { return }
        // SAFETY: both are as long as the payload; the sink's memory is the caller's, apart from the arena.
        unsafe region.copyMemory(from: source)
        // The copy is proved, not the source: what the caller gets is what the node was given.
        let isProved = unsafe PayloadChecksum.of(UnsafeRawBufferPointer(region)) == place.checksum
        outcome.withLock { outcome in
            if isProved { outcome.byteCounts[index] = place.byteCount } else { outcome.damagedCount += 1 }
        }
    }
}

extension Loan {
    /// The number of a loan that came too late for its caller.
    init?(late reply: Reply) {
        guard let id = reply.elements?.first?.integer else { return nil }
        self.init(id: id)
    }

    private init(id: Int64) {
        self.id = id
        answers = []
    }
}

extension Connection {
    /// Ends a loan, without waiting for the answer.
    func giveBack(_ loan: Loan?, timeout: Duration) { giveBack(loan?.id, timeout: timeout) }

    /// Ends a loan, without waiting for the answer.
    func giveBack(_ loan: Int64?, timeout: Duration) {
        guard let loan else { return }
        submit(NodeLink.request("KV.RELEASE", String(loan)), receiver: TreeReceiver(), timeout: timeout) {
            _ in
        }
    }
}
