internal import Blocks
internal import Synchronization

/// Memory that payloads hold while they are received, by tenant: a slow sender of one must not keep the others out.
///
/// A payload may take what its tenant's share leaves; while nobody else is receiving one may have all that the memory tier
/// gives to such payloads.
final class ReceivingShares: Sendable {
    private struct State {
        var byteCounts: [Tenant: Int] = [:]
        var total = 0
    }

    private let state = Mutex(State())
    private let byteCountMax: Int

    /// `byteCountMax` is the share of one tenant, while others receive too.
    init(byteCountMax: Int) {
        self.byteCountMax = byteCountMax
    }

    /// Bytes of all payloads that are being received.
    var totalByteCount: Int { state.withLock { $0.total } }

    /// Takes bytes of a tenant's share; false when others need what is left.
    func begin(_ byteCount: Int, of tenant: Tenant, isAlone: Bool) -> Bool {
        state.withLock { state in
            let own = state.byteCounts[tenant] ?? 0
            guard isAlone || own == 0 || own + byteCount <= byteCountMax else { return false }
            state.byteCounts[tenant] = own + byteCount
            state.total += byteCount
            return true
        }
    }

    /// Gives them back.
    func end(_ byteCount: Int, of tenant: Tenant) {
        state.withLock { state in
            state.total -= byteCount
            let rest = (state.byteCounts[tenant] ?? 0) - byteCount
            state.byteCounts[tenant] = rest > 0 ? rest : nil
        }
    }
}
