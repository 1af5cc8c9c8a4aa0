/// What the events' side of a node counts; every drop is here.
final class EventCounters: Sendable {
    let messages = Counter()
    let events = Counter()
    let blocksStored = Counter()
    let blocksRemoved = Counter()
    let announcedNow = Counter()
    let notesDropped = Counter()
    let sweeps = Counter()
    let blocksUntold = Counter()
    let peersNow = Counter()
    let subscriptionsNow = Counter()
    let peersRefused = Counter()
    let peersCut = Counter()
    let messagesSent = Counter()
    let messagesDropped = Counter()
    let messagesRepeated = Counter()

    /// All figures by name, in a stable order.
    var fields: [(name: String, value: Int)] {
        [
            ("events_messages", messages.value), ("events_published", events.value),
            ("events_blocks_stored", blocksStored.value), ("events_blocks_removed", blocksRemoved.value),
            ("events_announced_blocks", announcedNow.value), ("events_dropped_notes", notesDropped.value),
            ("events_sweeps", sweeps.value), ("events_untold_blocks", blocksUntold.value),
            ("events_peers", peersNow.value), ("events_subscriptions", subscriptionsNow.value),
            ("events_peers_refused", peersRefused.value),
            ("events_peers_cut", peersCut.value), ("events_messages_sent", messagesSent.value),
            ("events_messages_dropped", messagesDropped.value),
            ("events_messages_repeated", messagesRepeated.value),
        ]
        .map { (name: $0.0, value: $0.1) }
    }
}
