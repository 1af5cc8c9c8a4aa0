internal import Blocks
internal import DiskTier
internal import MemoryTier
internal import Synchronization

/// Hears from both tiers what leaves them; a block has departed when it has left the last one.
final class RemovalObserver: Sendable {
    private struct Tiers {
        weak var memory: MemoryTier?
        weak var disk: DiskTier?
    }

    private let counters: StoreCounters
    private let departures: DepartureLog
    private let watcher: (any BlockWatcher)?
    private let tiers = Mutex(Tiers())

    init(counters: StoreCounters, departures: DepartureLog, watcher: (any BlockWatcher)?) {
        self.watcher = watcher
        self.counters = counters
        self.departures = departures
    }

    func watch(memory: MemoryTier, disk: DiskTier?) {
        tiers.withLock { $0 = Tiers(memory: memory, disk: disk) }
    }

    func leftMemory(_ identity: BlockIdentity, _ reason: RemovalReason) {
        watcher?.changed([identity])
        let disk = tiers.withLock { $0.disk }
        switch reason {
        case .evicted:
            if disk?.summary(identity) != nil {
                counters.memoryEvictedDemoted.add()
            } else {
                counters.memoryEvictedLost.add()
                departures.record(identity, .evicted)
            }
        case .expired:
            counters.expired.add()
            departures.record(identity, .expired)
        case .deleted, .cleared:
            counters.deleted.add()
            departures.record(identity, .deleted)
        case .replaced:
            counters.replaced.add()
        case .corrupt:
            counters.corruptMemory.add()
            departures.record(identity, .corrupt)
        }
    }

    func leftDisk(_ identity: BlockIdentity, _ reason: DiskRemovalReason) {
        watcher?.changed([identity])
        let memory = tiers.withLock { $0.memory }
        let isInMemory = memory?.handle(identity) != nil
        switch reason {
        case .evicted:
            counters.diskEvicted.add()
            if !isInMemory { departures.record(identity, .evicted) }
        case .expired:
            if !isInMemory {
                counters.expired.add()
                departures.record(identity, .expired)
            }
        case .deleted, .cleared:
            if !isInMemory { departures.record(identity, .deleted) }
        case .corrupt:
            counters.corruptDisk.add()
            if !isInMemory { departures.record(identity, .corrupt) }
        case .replaced:
            break
        }
    }
}
