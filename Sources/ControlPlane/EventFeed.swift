package import Blocks
internal import GRPCCore
package import KVEvents
internal import Synchronization

/// Keeps the last events of each tenant for those who subscribe; holds nothing for one subscriber.
///
/// One thread publishes; everyone else reads at a place of their own, and learns that it is gone when they are too slow.
package final class EventFeed: EventSource {
    private struct TenantState {
        var ring: ReplayRing<NumberedEvent>
        var waiting: [UInt64: CheckedContinuation<Void, any Error>] = [:]
    }

    private struct State {
        var tenants: [Tenant: TenantState] = [:]
        var snapshotsWanted:
            [UInt64: (tenant: Tenant, answer: CheckedContinuation<EventSnapshot, any Error>)] = [:]
        var nextID: UInt64 = 0
        var isClosed = false
    }

    package let run = UInt64.random(in: 1...UInt64.max)
    private let limits: ControlLimits
    private let wakePublisher: @Sendable () -> Void
    private let state = Mutex(State())

    private static let closed = ControlError(
        .unavailable,
        "the node is stopping; subscribe to another, or here again"
    )

    /// A feed without events; `wakePublisher` makes the publisher call ``takeSnapshotRequests()`` soon.
    package init(limits: ControlLimits, wakePublisher: @escaping @Sendable () -> Void) {
        self.limits = limits
        self.wakePublisher = wakePublisher
    }

    // MARK: The publisher's side

    /// Numbers events and wakes those who wait for them.
    package func publish(_ events: [KVEvent], of space: SpaceName, unixMilliseconds: UInt64) {
        let woken = state.withLock { state in
            var tenant = state.tenants.removeValue(forKey: space.tenant) ?? newTenant()
            for event in events where event != .allCleared {
                let message = NumberedEvent(
                    sequence: tenant.ring.nextSequence + 1,
                    unixMilliseconds: unixMilliseconds,
                    namespace: space.namespace,
                    event: event
                )
                tenant.ring.append(message, byteCount: event.approximateByteCount)
            }
            let woken = tenant.waiting.values
            tenant.waiting = [:]
            state.tenants[space.tenant] = tenant
            return Array(woken)
        }
        for waiting in woken { waiting.resume() }
    }

    /// Those who want a snapshot, to be answered with what is announced now that all of it has been published.
    package func takeSnapshotRequests() -> [SnapshotRequest] {
        state.withLock { state in
            defer { state.snapshotsWanted = [:] }
            return state.snapshotsWanted.values.map { tenant, answer in
                SnapshotRequest(
                    tenant: tenant,
                    sequence: state.tenants[tenant]?.ring.nextSequence ?? 0,
                    continuation: answer
                )
            }
        }
    }

    /// Ends all subscriptions.
    package func close() {
        let (waiting, snapshots) = state.withLock { state in
            state.isClosed = true
            defer { state.snapshotsWanted = [:] }
            let waiting = state.tenants.values.flatMap { Array($0.waiting.values) }
            for tenant in Array(state.tenants.keys) { state.tenants[tenant]?.waiting = [:] }
            return (waiting, state.snapshotsWanted.values.map(\.answer))
        }
        for continuation in waiting { continuation.resume(throwing: Self.closed) }
        for continuation in snapshots { continuation.resume(throwing: Self.closed) }
    }

    // MARK: The subscribers' side

    package func lastSequence(of tenant: Tenant) -> UInt64 {
        state.withLock { $0.tenants[tenant]?.ring.nextSequence ?? 0 }
    }

    package func event(_ sequence: UInt64, of tenant: Tenant) async throws -> NumberedEvent {
        while true {
            let event: NumberedEvent? = try state.withLock { state in
                guard !state.isClosed else { throw Self.closed }
                guard let ring = state.tenants[tenant]?.ring, sequence >= 1, sequence <= ring.nextSequence
                else {
                    guard sequence == (state.tenants[tenant]?.ring.nextSequence ?? 0) + 1 else {
                        throw ControlError(.dataLoss, "this number was never told; subscribe with a snapshot")
                    }
                    return nil
                }
                guard let event = ring[sequence - 1] else {
                    throw ControlError(
                        .dataLoss,
                        "events from \(sequence) to \(ring.firstSequence) are not kept any more: the subscriber is too"
                            + " slow or was away too long; subscribe with a snapshot"
                    )
                }
                return event
            }
            if let event { return event }
            try await waitForEvent(after: sequence - 1, of: tenant)
        }
    }

    package func snapshot(of tenant: Tenant) async throws -> EventSnapshot {
        let id = newID()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let refusal: (any Error)? = state.withLock { state in
                    if state.isClosed { return Self.closed }
                    if Task.isCancelled { return CancellationError() }
                    state.snapshotsWanted[id] = (tenant, continuation)
                    return nil
                }
                if let refusal { return continuation.resume(throwing: refusal) }
                wakePublisher()
            }
        } onCancel: {
            let wanted = state.withLock { $0.snapshotsWanted.removeValue(forKey: id) }
            wanted?.answer.resume(throwing: CancellationError())
        }
    }

    private func waitForEvent(after last: UInt64, of tenant: Tenant) async throws {
        let id = newID()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation {
                (continuation: CheckedContinuation<Void, any Error>) in
                let (isOver, error): (Bool, (any Error)?) = state.withLock { state in
                    if state.isClosed { return (true, Self.closed) }
                    if Task.isCancelled { return (true, CancellationError()) }
                    if state.tenants[tenant] == nil { state.tenants[tenant] = newTenant() }
                    guard state.tenants[tenant]?.ring.nextSequence == last else { return (true, nil) }
                    state.tenants[tenant]?.waiting[id] = continuation
                    return (false, nil)
                }
                guard isOver else { return }
                if let error { continuation.resume(throwing: error) } else { continuation.resume() }
            }
        } onCancel: {
            let waiting = state.withLock { $0.tenants[tenant]?.waiting.removeValue(forKey: id) }
            waiting?.resume(throwing: CancellationError())
        }
    }

    private func newID() -> UInt64 {
        state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
    }

    private func newTenant() -> TenantState {
        TenantState(
            ring: ReplayRing(countMax: limits.replayCountMax, byteCountMax: limits.replayByteCountMax)
        )
    }
}

/// A subscriber who waits for a snapshot; answered once.
package struct SnapshotRequest: Sendable {
    /// Whose blocks.
    package let tenant: Tenant
    fileprivate let sequence: UInt64
    fileprivate let continuation: CheckedContinuation<EventSnapshot, any Error>

    /// Gives the announced blocks by namespace.
    package func answer(_ namespaces: [(id: NamespaceID, blocks: AnnouncedBlocks)]) {
        continuation.resume(returning: EventSnapshot(sequence: sequence, namespaces: namespaces))
    }
}

extension KVEvent {
    /// About what it takes in memory.
    fileprivate var approximateByteCount: Int {
        switch self {
        case .stored(let stored): stored.hashes.reduce(128) { $0 + $1.approximateByteCount }
        case .removed(let removed): removed.hashes.reduce(128) { $0 + $1.approximateByteCount }
        case .allCleared: 128
        }
    }
}

extension EventHash {
    fileprivate var approximateByteCount: Int {
        switch self {
        case .digest: 40
        case .other(let bytes): 72 + bytes.count
        }
    }
}
