internal import Blocks
internal import ControlPlane
internal import KVEvents

/// Where a publisher's events go. Called on the publisher's thread.
protocol EventOutlet: Sendable {
    /// Sends events.
    func publish(_ events: [KVEvent], on topic: EventTopic, unixMilliseconds: UInt64)
    /// All that the ledger has announced has been published.
    func allPublished(_ ledger: borrowing EventLedger)
}

/// What events are told under.
enum EventTopic: Hashable, Sendable {
    /// The bytes `kv@POD@MODEL`, for blocks of all tenants.
    case model([UInt8])
    /// One tenant's namespace.
    case space(SpaceName)

    /// The topic of a description's model.
    static func model(podID: String, _ description: NamespaceDescription) -> EventTopic {
        .model(Array("kv@\(podID)@\(description.model ?? description.id.description)".utf8))
    }
}

/// How namespaces are gathered under topics.
enum EventGrouping: Sendable {
    case byModel(podID: String)
    case bySpace
}

extension EventHub: EventOutlet {
    func publish(_ events: [KVEvent], on topic: EventTopic, unixMilliseconds: UInt64) {
        guard case .model(let bytes) = topic else { return }
        publish(topic: bytes, events, seconds: Double(unixMilliseconds) / 1_000)
    }

    func allPublished(_ ledger: borrowing EventLedger) {}
}

extension EventFeed: EventOutlet {
    func publish(_ events: [KVEvent], on topic: EventTopic, unixMilliseconds: UInt64) {
        guard case .space(let space) = topic else { return }
        publish(events, of: space, unixMilliseconds: unixMilliseconds)
    }

    func allPublished(_ ledger: borrowing EventLedger) {
        for request in takeSnapshotRequests() { request.answer(ledger.announced(of: request.tenant)) }
    }
}
