internal import Blocks

/// Which namespaces each tenant knows: those that it has described itself or has blocks in. Pure.
struct NamespaceVisibility {
    private var known: [Tenant: Set<NamespaceID>] = [:]
    private let countPerTenantMax: Int

    /// - Parameter countPerTenantMax: most namespaces that a tenant knows at a time.
    init(countPerTenantMax: Int) {
        self.countPerTenantMax = countPerTenantMax
    }

    /// Whether a tenant knows a namespace.
    func isKnown(_ id: NamespaceID, to tenant: Tenant) -> Bool {
        known[tenant]?.contains(id) ?? false
    }

    /// The namespaces that a tenant knows.
    func namespaces(of tenant: Tenant) -> Set<NamespaceID> { known[tenant] ?? [] }

    /// The tenants that know a namespace.
    func tenants(of id: NamespaceID) -> [Tenant] {
        known.compactMap { $0.value.contains(id) ? $0.key : nil }
    }

    /// Makes a namespace known to a tenant; throws `.limitExceeded` when the tenant knows as many as it may.
    mutating func add(_ id: NamespaceID, to tenant: Tenant) throws(CacheError) {
        guard !isKnown(id, to: tenant) else { return }
        guard known[tenant, default: []].count < countPerTenantMax else {
            throw CacheError(
                .limitExceeded,
                "the tenant knows \(countPerTenantMax) namespaces, as many as it may: give those that hold nothing back"
                    + " with KV.FORGET"
            )
        }
        known[tenant, default: []].insert(id)
    }

    /// Makes a tenant forget a namespace.
    mutating func remove(_ id: NamespaceID, of tenant: Tenant) {
        known[tenant]?.remove(id)
        if known[tenant]?.isEmpty ?? false { known[tenant] = nil }
    }
}
