internal import Blocks
internal import RESP
internal import Synchronization

/// Part of a store that is written in the node's own memory: places taken, filled, and committed.
final class SharedStore: Sendable {
    /// A place that is filled.
    private struct Place {
        /// Whose block of this part it is.
        let index: Int
        /// What the node calls it.
        let number: Int64
        /// XXH3 of the payload: of the caller's bytes, not of the place's.
        let checksum: UInt64
    }

    private struct Progress {
        /// What became of each block; `nil` while it has a place, and where the node gave none.
        var outcomes: [StoreOutcome?]
        var places: [Place] = []
    }

    /// The keys of this part, numbered in the whole store.
    let keys: Range<Int>
    private let offer: NodeLink.Offer
    private let connection: Connection
    private let attachment: Attachment
    private let timeout: Duration
    private let receiver: GrantReceiver
    private let progress: Mutex<Progress>

    init(
        _ offer: NodeLink.Offer,
        keys: Range<Int>,
        over connection: Connection,
        _ attachment: Attachment,
        timeout: Duration
    ) {
        self.offer = offer
        self.keys = keys
        self.connection = connection
        self.attachment = attachment
        self.timeout = timeout
        receiver = GrantReceiver { [connection] reply in
            connection.abort(Self.numbers(in: reply), timeout: timeout)
        }
        progress = Mutex(Progress(outcomes: Array(repeating: nil, count: keys.count)))
    }

    /// The request for places. They are filled on the connection's thread as soon as they are there.
    var reservation: NodeLink.Part {
        var encoder = RequestEncoder()
        offer.begin("KV.RESERVE", keys, in: &encoder)
        let names = offer.keys
        for index in keys {
            encoder.append(names[index])
            unsafe encoder.append(offer.payloads.buffers[index].count)
        }
        return NodeLink.Part(request: encoder.finish(), receiver: receiver, connection: connection) {
            [self] in
            fill()
        }
    }

    /// The request that makes the filled blocks visible, and where its answer arrives; `nil` when there are none.
    func commit() -> (part: NodeLink.Part, receiver: TreeReceiver)? {
        let numbers = progress.withLock { progress in
            progress.places.flatMap { [$0.number, Int64(bitPattern: $0.checksum)] }
        }
        guard !numbers.isEmpty else { return nil }
        let receiver = TreeReceiver()
        let request = NodeLink.request("KV.COMMIT", numbers)
        return (NodeLink.Part(request: request, receiver: receiver, connection: connection), receiver)
    }

    /// Blocks that are filled and wait for the commit's answer.
    var placeCount: Int { progress.withLock { $0.places.count } }

    /// Takes the answer to the commit.
    func committed(_ answers: [StoreOutcome]) {
        progress.withLock { progress in
            for (place, answer) in zip(progress.places, answers) { progress.outcomes[place.index] = answer }
        }
    }

    /// Gives back what was not committed.
    ///
    /// Harmless where the commit arrived after all: a place's number is spent by it, and is never another's.
    func abort() {
        connection.abort(progress.withLock { $0.places.map(\.number) }, timeout: timeout)
    }

    /// What became of each block; `nil` where the node gave no place.
    var outcomes: [StoreOutcome?] { progress.withLock { $0.outcomes } }

    private func fill() {
        guard let answers = receiver.reply?.elements, answers.count == keys.count else {
            return connection.abort(Self.numbers(in: receiver.reply), timeout: timeout)
        }
        for (index, answer) in answers.enumerated() {
            guard let number = Self.number(of: answer) else {
                if answer.text == "exists" { progress.withLock { $0.outcomes[index] = .exists } }
                continue
            }
            guard let checksum = fill(answer, at: index) else {
                connection.abort([number], timeout: timeout)
                continue
            }
            progress.withLock { $0.places.append(Place(index: index, number: number, checksum: checksum)) }
        }
    }

    /// Copies a payload to its place; its checksum, or `nil` where that is no place for it.
    private func fill(_ answer: Reply, at index: Int) -> UInt64? {
        let payload = unsafe offer.payloads.buffers[keys.lowerBound + index]
        guard let offset = answer.elements?.last?.integer.flatMap({ Int(exactly: $0) }),
            let place = unsafe attachment.arena.place(offset: offset, byteCount: payload.count)
        else { return nil }
        // SAFETY: both are as long as the payload; the place is ours alone until it is committed, and the payload is the
        // caller's, who waits.
        unsafe place.copyMemory(from: payload)
        return unsafe PayloadChecksum.of(payload)
    }

    /// The number of the place in `[number, offset]`.
    private static func number(of answer: Reply) -> Int64? {
        guard let figures = answer.elements, figures.count == 2 else { return nil }
        return figures[0].integer
    }

    private static func numbers(in reply: Reply?) -> [Int64] { reply?.elements?.compactMap(number) ?? [] }
}

extension Connection {
    /// Gives places back, without waiting for the answer.
    func abort(_ numbers: [Int64], timeout: Duration) {
        guard !numbers.isEmpty else { return }
        submit(NodeLink.request("KV.ABORT", numbers), receiver: TreeReceiver(), timeout: timeout) { _ in }
    }
}

extension NodeLink {
    /// `NAME number ...`.
    static func request(_ name: String, _ numbers: [Int64]) -> EncodedRequest {
        var encoder = RequestEncoder()
        encoder.begin(argumentCount: 1 + numbers.count)
        encoder.append(name)
        for number in numbers { encoder.append(Int(number)) }
        return encoder.finish()
    }
}
