internal import Blocks
internal import KVEvents
internal import NIOCore
internal import Synchronization
internal import Tiering

/// The thread that turns notes into messages.
final class EventPublisher: Sendable {
    private let notes: EventNotes
    private let outlet: any EventOutlet
    private let grouping: EventGrouping
    private let counters: EventCounters
    private let configuration: EventConfiguration
    private let store: BlockStore
    private let isClosed = Atomic(false)
    private let thread = Mutex<ServiceThread?>(nil)

    /// Notes that are told in one go, so that messages stay small.
    private static let batchNoteCount = 2_048
    /// How long the thread sleeps when nothing happens, milliseconds.
    private static let idleMilliseconds = 1_000
    /// In how many of these everything that was told is compared once, for what nobody notes: a block on disk whose
    /// time is over.
    private static let idleSweepCount = 60

    init(
        notes: EventNotes,
        outlet: any EventOutlet,
        grouping: EventGrouping,
        store: BlockStore,
        configuration: EventConfiguration,
        counters: EventCounters
    ) {
        self.notes = notes
        self.outlet = outlet
        self.grouping = grouping
        self.store = store
        self.configuration = configuration
        self.counters = counters
    }

    /// Starts the thread.
    func start() {
        thread.withLock { $0 = ServiceThread(name: "larder-events") { self.run() } }
    }

    /// Tells what is noted, takes everything back, and ends; blocks until then.
    func stop() {
        isClosed.store(true, ordering: .sequentiallyConsistent)
        notes.bell.ring()
        thread.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
    }

    private func run() {
        var ledger = EventLedger(
            store: store,
            grouping: grouping,
            configuration: configuration,
            counters: counters
        )
        let gathering = Doorbell()
        let gatheringMilliseconds = Int(configuration.gatheringTime / .milliseconds(1))
        var partsToSweep = 0
        var isDoubtful = false
        var doubtedAt: ContinuousClock.Instant?
        while !isClosed.load(ordering: .sequentiallyConsistent) {
            let isBusy = partsToSweep > 0 || ledger.isSurveying
            notes.bell.wait(milliseconds: isBusy ? 0 : Self.idleMilliseconds)
            if partsToSweep == 0 { gathering.wait(milliseconds: gatheringMilliseconds) }
            let batch = notes.take()
            if batch.isIncomplete {
                isDoubtful = true
                partsToSweep = ledger.sweepPartCount
                counters.sweeps.add()
            }
            tell(batch, &ledger)
            if ledger.isSurveying {
                ledger.survey()
                publish(&ledger)
            }
            if partsToSweep > 0 {
                partsToSweep -= 1
                ledger.sweep()
                publish(&ledger)
            }
            let now = ContinuousClock.now
            if isDoubtful, doubtedAt.map({ now - $0 >= configuration.surveyPause }) ?? true {
                isDoubtful = false
                doubtedAt = now
                ledger.doubt()
            }
            if !isBusy, batch.notes.isEmpty {
                for _ in 0..<ledger.sweepPartCount / Self.idleSweepCount { ledger.sweep() }
                publish(&ledger)
            }
            outlet.allPublished(ledger)
        }
        tell(notes.take(), &ledger)
        ledger.clear()
        publish(&ledger)
    }

    private func tell(_ batch: EventNotes.Batch, _ ledger: inout EventLedger) {
        for space in batch.spaces { ledger.open(space) }
        // What is void goes out under all topics before anything new under one: a router may take it for all of them.
        publish(&ledger)
        var rest = batch.notes[...]
        repeat {
            for note in rest.prefix(Self.batchNoteCount) { ledger.look(at: note) }
            rest = rest.dropFirst(Self.batchNoteCount)
            publish(&ledger)
        } while !rest.isEmpty
    }

    private func publish(_ ledger: inout EventLedger) {
        let now = store.clock.unixMilliseconds()
        ledger.takeBatches { topic, events in
            for event in events {
                switch event {
                case .stored(let stored): counters.blocksStored.add(stored.hashes.count)
                case .removed(let removed): counters.blocksRemoved.add(removed.hashes.count)
                case .allCleared: break
                }
            }
            counters.events.add(events.count)
            outlet.publish(events, on: topic, unixMilliseconds: now)
        }
    }
}
