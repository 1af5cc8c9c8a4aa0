internal import Blocks
internal import ControlPlane
internal import KVEvents
internal import Tiering

/// What a node has told of its blocks, and what it has to tell: the working state of the publisher's thread.
///
/// A note makes it look where a block is now, and the difference to what was told becomes events. A survey finds the
/// blocks that were there before anybody noted them; a sweep compares what was told with the store.
struct EventLedger: ~Copyable {
    private struct Watched {
        let space: KeySpace
        let topic: Int
        var blocks: AnnouncedBlocks
    }

    private struct Topic {
        let name: EventTopic
        var collector = EventCollector()
    }

    private let store: BlockStore
    private let grouping: EventGrouping
    private let announcedBlockCountMax: Int
    private let counters: EventCounters
    private var watched: [Watched] = []
    private var places: [KeyPrefix: Int] = [:]
    private var topics: [Topic] = []
    private var topicPlaces: [EventTopic: Int] = [:]
    private var announcedCount = 0
    private var found: [(place: Int, identity: BlockIdentity, key: [UInt8])] = []
    private var surveys: [(place: Int, next: BlockStore.SurveyPlace)] = []
    private var sweepPart = 0

    /// Blocks that one step of a survey looks at.
    private static let surveyStepCount = 512

    init(
        store: BlockStore,
        grouping: EventGrouping,
        configuration: EventConfiguration,
        counters: EventCounters
    ) {
        self.store = store
        self.counters = counters
        self.grouping = grouping
        announcedBlockCountMax = configuration.announcedBlockCountMax
    }

    /// Begins to tell of a namespace.
    ///
    /// Before anything is told, what a run before has told is taken back, under all topics that it can have used. Later
    /// that would be wrong: a router may take it for all that the node has told, whatever the topic.
    mutating func open(_ space: KeySpace) {
        guard places[space.prefix] == nil, let description = space.description else { return }
        let topic: Int
        switch grouping {
        case .byModel(let podID):
            if topics.isEmpty {
                for known in store.descriptions { _ = place(of: .model(podID: podID, known)) }
                clear()
            }
            topic = place(of: .model(podID: podID, description))
        case .bySpace:
            topic = place(of: .space(SpaceName(tenant: space.tenant, namespace: space.namespace)))
        }
        places[space.prefix] = watched.count
        surveys.append((watched.count, .start))
        watched.append(Watched(space: space, topic: topic, blocks: AnnouncedBlocks(prefix: space.prefix)))
    }

    private mutating func place(of topic: EventTopic) -> Int {
        if let known = topicPlaces[topic] { return known }
        topicPlaces[topic] = topics.count
        topics.append(Topic(name: topic))
        return topics.count - 1
    }

    /// What is announced of a tenant's namespaces.
    func announced(of tenant: Tenant) -> [(id: NamespaceID, blocks: AnnouncedBlocks)] {
        watched.compactMap { $0.space.tenant == tenant ? ($0.space.namespace, $0.blocks) : nil }
    }

    /// Looks at what a note is about.
    mutating func look(at note: EventNotes.Note) {
        switch note {
        case .arrived(let identity, let key, let predecessor):
            guard let place = places[identity.prefix] else { return }
            arrived(identity, key: key, after: predecessor, in: place)
        case .changed(let identity):
            guard let place = places[identity.prefix] else { return }
            settle(identity, in: place)
        }
    }

    /// Everything is to be compared: notes were lost.
    mutating func doubt() {
        for place in watched.indices
        where !surveys.contains(where: { $0.place == place && $0.next == .start }) {
            surveys.append((place, .start))
        }
    }

    /// Whether a survey is under way.
    var isSurveying: Bool { !surveys.isEmpty || !found.isEmpty }

    /// One step of the oldest survey.
    ///
    /// What it finds is told in the next step: if a note of it is on its way, that comes first, and knows more.
    mutating func survey() {
        for (place, identity, key) in found where !watched[place].blocks.contains(identity) {
            arrived(identity, key: key, after: nil, in: place)
        }
        found = []
        guard let (place, from) = surveys.first else { return }
        var seen: [(Int, BlockIdentity, [UInt8])] = []
        let next = store.survey(watched[place].space, from: from, count: Self.surveyStepCount) {
            seen.append((place, $0, $1))
        }
        found = seen
        if let next { surveys[0].next = next } else { surveys.removeFirst() }
    }

    /// Parts of a whole sweep.
    var sweepPartCount: Int { watched.count * AnnouncedBlocks.partCount }

    /// Compares the next part of what was told with the store.
    mutating func sweep() {
        guard sweepPartCount > 0 else { return }
        sweepPart = (sweepPart + 1) % sweepPartCount
        let place = sweepPart / AnnouncedBlocks.partCount
        for identity in watched[place].blocks.identities(inPart: sweepPart % AnnouncedBlocks.partCount) {
            settle(identity, in: place)
        }
    }

    /// Nothing that was told counts any more.
    mutating func clear() {
        for topic in topics.indices { topics[topic].collector.clear() }
    }

    /// Gives the gathered events of each topic that has some.
    mutating func takeBatches(_ body: (_ topic: EventTopic, _ events: [KVEvent]) -> Void) {
        for topic in topics.indices where !topics[topic].collector.events.isEmpty {
            let events = topics[topic].collector.take()
            body(topics[topic].name, events)
        }
    }

    private mutating func arrived(
        _ identity: BlockIdentity,
        key: [UInt8],
        after predecessor: [UInt8]?,
        in place: Int
    ) {
        guard !watched[place].blocks.contains(identity) else { return settle(identity, in: place) }
        let residence = store.residence(of: identity)
        guard !residence.mediums.isEmpty else { return }
        guard announcedCount < announcedBlockCountMax else { return counters.blocksUntold.add() }
        watched[place].blocks.announce(
            identity,
            key: key,
            after: predecessor,
            on: residence.mediums,
            tokenCount: tokenCount(residence, in: place),
            into: &topics[watched[place].topic].collector
        )
        count(1)
    }

    private mutating func settle(_ identity: BlockIdentity, in place: Int) {
        guard watched[place].blocks.contains(identity) else { return }
        let residence = store.residence(of: identity)
        let before = watched[place].blocks.count
        watched[place].blocks.settle(
            identity,
            on: residence.mediums,
            tokenCount: tokenCount(residence, in: place),
            into: &topics[watched[place].topic].collector
        )
        count(watched[place].blocks.count - before)
    }

    private mutating func count(_ change: Int) {
        announcedCount += change
        counters.announcedNow.add(change)
    }

    private func tokenCount(_ residence: BlockStore.Residence, in place: Int) -> Int {
        if residence.tokenCount > 0 { return residence.tokenCount }
        return watched[place].space.description?.tokensPerBlock ?? 0
    }
}

extension BlockStore.Residence {
    /// Where the block is, in the words of events.
    fileprivate var mediums: EventMediums {
        var mediums: EventMediums = []
        if isInMemory { mediums.insert(.memory) }
        if isOnDisk { mediums.insert(.disk) }
        return mediums
    }
}
