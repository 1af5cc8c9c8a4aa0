internal import Blocks
internal import MemoryTier
internal import Synchronization

/// The leases that are out: what each holds, whose it is, when it ends by itself. A plain value under one lock.
final class LeaseTable: Sendable {
    /// What a lease holds.
    struct Holdings: Sendable {
        var memoryHandles: [BlockHandle] = []
        var memoryByteCount = 0
        var diskIdentities: [BlockIdentity] = []
        var diskByteCount = 0
        /// Blocks lent to another process, in memory too; counted in `memoryByteCount`.
        var lent: [BlockLease] = []
        /// What other nodes hold for this lease.
        var peerLeases: [PeerLease] = []

        var isEmpty: Bool {
            memoryHandles.isEmpty && diskIdentities.isEmpty && lent.isEmpty && peerLeases.isEmpty
        }
    }

    private struct Record {
        let owner: LeaseOwner?
        let holdings: Holdings
    }

    private struct State {
        var records: [UInt64: Record] = [:]
        var idsByTick: [UInt64: [UInt64]] = [:]
        var idsByOwner: [LeaseOwner: Set<UInt64>] = [:]
        /// Begins anywhere: a number from before a restart must not be another's now.
        var nextID = UInt64.random(in: 1 << 32..<1 << 62)
        var sweptTick: UInt64 = 0
        var memoryByteCount = 0
        var diskByteCount = 0
        /// When EXISTS may lease a key again, nanoseconds: asking again does not renew.
        var existsPauses: [BlockIdentity: UInt64] = [:]
    }

    /// Leases end on ticks of 50 ms.
    private static let tickNanoseconds: UInt64 = 50_000_000
    private static let existsPauseCountMax = 65_536

    private let state = Mutex(State())
    private let countMax: Int

    init(countMax: Int, now: UInt64) {
        self.countMax = countMax
        state.withLock { $0.sweptTick = now / Self.tickNanoseconds }
    }

    /// Bytes held in memory and on disk, and the number of leases.
    var totals: (memoryByteCount: Int, diskByteCount: Int, count: Int) {
        state.withLock { ($0.memoryByteCount, $0.diskByteCount, $0.records.count) }
    }

    /// Registers holdings until `end` (monotonic nanoseconds), or for as long as the owner likes; `nil` when there are too
    /// many leases.
    func add(_ holdings: Holdings, owner: LeaseOwner?, until end: UInt64?) -> UInt64? {
        state.withLock { state in
            guard state.records.count < countMax else { return nil }
            let id = state.nextID
            state.nextID += 1
            state.records[id] = Record(owner: owner, holdings: holdings)
            if let end {
                state.idsByTick[max(end / Self.tickNanoseconds, state.sweptTick) + 1, default: []].append(id)
            }
            if let owner { state.idsByOwner[owner, default: []].insert(id) }
            state.memoryByteCount += holdings.memoryByteCount
            state.diskByteCount += holdings.diskByteCount
            return id
        }
    }

    /// Ends a lease of this owner; `nil` when it has none of that number.
    func remove(_ id: UInt64, owner: LeaseOwner) -> Holdings? {
        state.withLock { state in
            guard state.records[id]?.owner == owner else { return nil }
            return remove(id, from: &state)
        }
    }

    /// Ends all leases of an owner.
    func removeAll(owner: LeaseOwner) -> [Holdings] {
        state.withLock { state in
            let ids = state.idsByOwner[owner] ?? []
            return ids.compactMap { remove($0, from: &state) }
        }
    }

    /// Ends the leases whose time is over at `now`.
    func removeExpired(now: UInt64) -> [Holdings] {
        state.withLock { state in
            let tick = now / Self.tickNanoseconds
            guard tick > state.sweptTick else { return [] }
            var ended: [Holdings] = []
            // After a long pause walk the table instead of every tick that was slept through.
            let ticks =
                tick - state.sweptTick > UInt64(state.idsByTick.count)
                ? state.idsByTick.keys.filter { $0 <= tick } : Array((state.sweptTick + 1)...tick)
            for due in ticks {
                for id in state.idsByTick.removeValue(forKey: due) ?? [] {
                    if let holdings = remove(id, from: &state) { ended.append(holdings) }
                }
            }
            state.sweptTick = tick
            if !state.existsPauses.isEmpty {
                state.existsPauses = state.existsPauses.filter { $0.value > now }
            }
            return ended
        }
    }

    /// Whether EXISTS may lease this key now; if so it may not again before `pauseEnd`, unless the key is read.
    func mayLeaseForExists(_ identity: BlockIdentity, now: UInt64, pauseEnd: UInt64) -> Bool {
        state.withLock { state in
            if let pause = state.existsPauses[identity], pause > now { return false }
            guard state.existsPauses.count < Self.existsPauseCountMax else { return false }
            state.existsPauses[identity] = pauseEnd
            return true
        }
    }

    private func remove(_ id: UInt64, from state: inout State) -> Holdings? {
        guard let record = state.records.removeValue(forKey: id) else { return nil }
        if let owner = record.owner {
            state.idsByOwner[owner]?.remove(id)
            if state.idsByOwner[owner]?.isEmpty == true { state.idsByOwner[owner] = nil }
        }
        state.memoryByteCount -= record.holdings.memoryByteCount
        state.diskByteCount -= record.holdings.diskByteCount
        return record.holdings
    }
}
