package import Blocks
internal import Synchronization

/// Whose blocks the arena holds or has held.
///
/// A process that maps the arena reads every byte of it, and a block that is evicted leaves its bytes behind. So the arena
/// may be shared with a tenant's processes only while no other tenant has ever had a block in it, and once it is shared no
/// other tenant gets one: each path by which a block enters asks `admit` first. The record is kept in the memory file,
/// since the bytes outlive the process; it never shrinks.
package final class ArenaTenancy: Sendable {
    /// Whose blocks there are or have been.
    package enum Occupants: Hashable, Sendable {
        case nobody
        case one(TenantMark)
        /// Several tenants, or nobody knows: a memory file from a program that did not keep this record.
        case several
    }

    private struct State {
        var occupants: Occupants
        var sharedWith: TenantMark?
    }

    private let state: Mutex<State>
    /// 0 until the first tenant is admitted, 1 while there is one, 2 when there are several: then `admit` has nothing to ask.
    private let stage = Atomic<Int>(0)
    /// The one tenant; written once, before `stage` becomes 1.
    private let firstLow = Atomic<UInt64>(0)
    private let firstHigh = Atomic<UInt64>(0)
    private let record: @Sendable (Occupants) -> Void

    /// `record` stores who there is, and returns when it is stored.
    init(_ occupants: Occupants, record: @escaping @Sendable (Occupants) -> Void) {
        state = Mutex(State(occupants: occupants))
        self.record = record
        publish(occupants)
    }

    /// Whose blocks there are or have been.
    package var occupants: Occupants { state.withLock { $0.occupants } }

    /// Whether the arena has been shared with a tenant's processes.
    package var isShared: Bool { state.withLock { $0.sharedWith != nil } }

    /// Asks to put a tenant's block into the arena; false when it is shared with processes of another tenant.
    package func admit(_ tenant: TenantMark) -> Bool {
        switch stage.load(ordering: .acquiring) {
        case 2: return true
        case 1
        where firstLow.load(ordering: .relaxed) == tenant.words.x
            && firstHigh.load(ordering: .relaxed) == tenant.words.y:
            return true
        default: return admitAnother(tenant)
        }
    }

    private func admitAnother(_ tenant: TenantMark) -> Bool {
        state.withLock { state in
            let next: Occupants
            switch state.occupants {
            case .nobody: next = .one(tenant)
            case .one(tenant), .several: return true
            case .one: next = .several
            }
            guard state.sharedWith == nil || state.sharedWith == tenant else { return false }
            // Before the first byte: who ends here leaves a file that says so.
            record(next)
            state.occupants = next
            publish(next)
            return true
        }
    }

    /// Asks to share the arena with processes of a tenant, for as long as it lives; false when another tenant has or had a
    /// block in it, or it is shared with another tenant's.
    package func share(with tenant: TenantMark) -> Bool {
        state.withLock { state in
            guard state.occupants == .nobody || state.occupants == .one(tenant),
                state.sharedWith == nil || state.sharedWith == tenant
            else { return false }
            state.sharedWith = tenant
            return true
        }
    }

    private func publish(_ occupants: Occupants) {
        switch occupants {
        case .nobody: break
        case .one(let tenant):
            firstLow.store(tenant.words.x, ordering: .relaxed)
            firstHigh.store(tenant.words.y, ordering: .relaxed)
            stage.store(1, ordering: .releasing)
        case .several: stage.store(2, ordering: .releasing)
        }
    }
}
