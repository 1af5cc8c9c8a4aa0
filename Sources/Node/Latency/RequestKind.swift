/// Requests whose latencies are told together.
enum RequestKind: Int, CaseIterable, Sendable {
    /// How much of a prefix is held.
    case match
    /// Values and blocks.
    case get
    /// Values and blocks to keep.
    case put
    /// What another node of the cluster asks.
    case peer
    /// Everything else.
    case other

    /// The kind of a verb; `nil` for the heartbeat of another node, which nobody waits for.
    init?(_ command: Command, isOfPeer: Bool) {
        switch command {
        case .kvPeer: return nil
        case _ where isOfPeer: self = .peer
        case .kvMatch, .exists: self = .match
        case .kvGet, .kvBorrow, .get, .mget, .getrange: self = .get
        case .kvPut, .kvReserve, .kvCommit, .set, .setex, .psetex, .setnx, .mset: self = .put
        default: self = .other
        }
    }

    /// The kind of a verb of lm://; `nil` for a put, which has no reply.
    init?(_ verb: LMRequest.Verb) {
        switch verb {
        case .put: return nil
        case .get: self = .get
        case .exist: self = .match
        case .list, .health: self = .other
        }
    }

    /// The kind in a figure's name.
    var fieldName: String { String(describing: self) }
}
