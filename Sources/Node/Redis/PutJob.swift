internal import Blocks
internal import Tiering

/// A KV.PUT under way: what was asked, and what became of each block so far.
struct PutJob {
    /// Where the blocks go.
    let space: KeySpace
    /// What was asked.
    let request: BlockRequest
    /// How each block is put.
    let options: PutOptions
    /// What became of the blocks, in order; `nil` for those not reached yet.
    var outcomes: [PutOutcome?]
    /// What to wait for when the put is to be durable, by block.
    var tickets: [(block: Int, ticket: DurabilityTicket)] = []

    init(space: KeySpace, request: BlockRequest, now: UInt64) {
        self.space = space
        self.request = request
        options = PutOptions(request, now: now)
        outcomes = Array(repeating: nil, count: request.count)
    }

    /// Whether the argument at `payloadIndex` is a block's payload.
    func isBlock(payloadIndex: Int) -> Bool {
        let offset = payloadIndex - request.first
        return offset > 0 && !offset.isMultiple(of: 2) && offset / 2 < request.count
    }

    /// The block whose payload is the argument at `payloadIndex`.
    func block(payloadIndex: Int) -> Int { (payloadIndex - request.first) / 2 }

    /// The index of a block's key among the arguments; its payload follows.
    func keyIndex(of block: Int) -> Int { request.first + 2 * block }
}

extension PutOptions {
    /// What the options of a request ask for; `now` in milliseconds since 1970.
    init(_ request: BlockRequest, now: UInt64) {
        self.init()
        tokenCount = request.tokenCount
        isDurable = request.isDurable
        waitsForOwner = request.waitsForOwner
        createdAt = request.createdAt
        timeToLive = request.timeToLiveMilliseconds.map { .milliseconds($0) }
        if request.pins {
            pinnedUntil = request.timeToLiveMilliseconds.map { now &+ UInt64($0) } ?? .max
        }
    }
}

extension PutOutcome {
    /// The outcome as KV.PUT replies it.
    var replyText: String {
        switch self {
        case .stored: "stored"
        case .exists: "exists"
        case .conflict: "refused conflict: other bytes are held under this key"
        case .deleted: "refused deleted: the block was deleted after it was made"
        case .refused(let error): "refused \(error.code): \(error.message)"
        }
    }
}
