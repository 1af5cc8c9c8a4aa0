internal import Blocks
internal import Foundation
internal import Synchronization

/// The key spaces of this node, and the file that remembers described namespaces over a restart.
///
/// `namespaces.jsonl` in the data directory: one line a namespace, its canonical JSON description; written by rename.
final class SpaceRegistry: Sendable {
    private struct SpaceName: Hashable {
        let tenant: Tenant
        let namespace: NamespaceID
    }

    private struct State {
        var descriptions: [NamespaceID: NamespaceDescription] = [:]
        var spaces: [SpaceName: KeySpace] = [:]
        var spacesByPrefix: [KeyPrefix: KeySpace] = [:]
        var visibility: NamespaceVisibility
        /// Prefixes of blocks from before the store was opened: their tenants know their namespaces.
        var recoveredPrefixes: Set<KeyPrefix> = []
    }

    private let state: Mutex<State>
    private let secret: NodeSecret
    private let fileURL: URL?
    private let namespaceCountMax: Int
    private let isClustered: Bool
    private let separates: Bool

    init(
        secret: NodeSecret,
        directory: String?,
        namespaceCountMax: Int,
        namespacesPerTenantMax: Int? = nil,
        isClustered: Bool
    ) throws(CacheError) {
        separates = namespacesPerTenantMax != nil
        state = Mutex(
            State(
                visibility: NamespaceVisibility(
                    countPerTenantMax: namespacesPerTenantMax ?? namespaceCountMax
                )
            )
        )
        self.secret = secret
        self.isClustered = isClustered
        self.namespaceCountMax = namespaceCountMax
        fileURL = directory.map { URL(filePath: $0).appending(path: "namespaces.jsonl") }
        guard let fileURL, let data = try? Data(contentsOf: fileURL) else { return }
        let lines = data.split(separator: UInt8(ascii: "\n")).prefix(namespaceCountMax)
        state.withLock { state in
            for line in lines {
                // A damaged line costs its namespace a new KV.DESCRIBE, no more.
                guard let description = try? NamespaceDescription(json: Array(line)) else { continue }
                state.descriptions[description.id] = description
            }
        }
    }

    /// The namespaces that somebody has described.
    var descriptions: [NamespaceDescription] { state.withLock { Array($0.descriptions.values) } }

    /// Remembers a namespace that another node has told of; one that does not fit is told again when it is used.
    func remember(_ description: NamespaceDescription) throws(CacheError) {
        let result: Result<[NamespaceDescription]?, CacheError> = state.withLock { state in
            guard state.descriptions[description.id] == nil else { return .success(nil) }
            guard state.descriptions.count < namespaceCountMax else {
                return .failure(
                    CacheError(.limitExceeded, "the node already knows \(namespaceCountMax) namespaces")
                )
            }
            state.descriptions[description.id] = description
            return .success(Array(state.descriptions.values))
        }
        if let toSave = try result.get() { try save(toSave) }
    }

    /// The namespaces with blocks that were there when the store was opened, by their prefixes.
    func recovered(_ prefixes: Set<KeyPrefix>) {
        state.withLock { $0.recoveredPrefixes = prefixes }
    }

    /// Those of them that a tenant knows.
    func descriptions(of tenant: Tenant) -> [NamespaceDescription] {
        state.withLock { state in
            state.descriptions.values.filter { isVisible($0.id, to: tenant, &state) }
        }
    }

    /// Each described namespace with the tenants that know it, for other nodes.
    var knownDescriptions: [(description: NamespaceDescription, tenants: [Tenant])] {
        state.withLock { state in
            state.descriptions.values.map { ($0, state.visibility.tenants(of: $0.id)) }
        }
    }

    /// The tenant's view of a namespace, or `nil` when it is not described or the tenant does not know it: the two look
    /// the same.
    func visibleSpace(tenant: Tenant, namespace: NamespaceID) -> KeySpace? {
        state.withLock { state in
            guard let description = state.descriptions[namespace], isVisible(namespace, to: tenant, &state)
            else {
                return nil
            }
            return space(in: &state, tenant: tenant, id: namespace, description: description)
        }
    }

    /// Makes a tenant forget a namespace, and the node when no other tenant knows it. Its blocks, if any, stay. A node of a
    /// cluster does not forget it: it may own keys of it for clients of other nodes.
    func forget(_ space: KeySpace) throws(CacheError) {
        let id = space.namespace
        let toSave = state.withLock { state -> [NamespaceDescription]? in
            state.visibility.remove(id, of: space.tenant)
            state.recoveredPrefixes.remove(space.prefix)
            state.spaces[SpaceName(tenant: space.tenant, namespace: id)] = nil
            guard !isClustered, state.visibility.tenants(of: id).isEmpty,
                state.descriptions.removeValue(forKey: id) != nil
            else {
                return nil
            }
            return Array(state.descriptions.values)
        }
        if let toSave { try save(toSave) }
    }

    private func isVisible(_ id: NamespaceID, to tenant: Tenant, _ state: inout State) -> Bool {
        guard separates, !state.visibility.isKnown(id, to: tenant) else { return true }
        guard !state.recoveredPrefixes.isEmpty else { return false }
        let prefix = KeyPrefix(secret: secret, tenant: tenant, namespace: id)
        guard state.recoveredPrefixes.contains(prefix) else { return false }
        // Beyond the tenant's bound it is looked up the same way again.
        try? state.visibility.add(id, to: tenant)
        return true
    }

    func register(tenant: Tenant, description: NamespaceDescription) throws(CacheError) -> KeySpace {
        let result: Result<(KeySpace, [NamespaceDescription]?), CacheError> = state.withLock { state in
            var toSave: [NamespaceDescription]?
            do throws(CacheError) {
                try state.visibility.add(description.id, to: tenant)
            } catch {
                return .failure(error)
            }
            if state.descriptions[description.id] == nil {
                guard state.descriptions.count < namespaceCountMax else {
                    state.visibility.remove(description.id, of: tenant)
                    return .failure(
                        CacheError(.limitExceeded, "the node already knows \(namespaceCountMax) namespaces")
                    )
                }
                state.descriptions[description.id] = description
                toSave = Array(state.descriptions.values)
            }
            let space = self.space(in: &state, tenant: tenant, id: description.id, description: description)
            return .success((space, toSave))
        }
        let (space, toSave) = try result.get()
        if let toSave { try save(toSave) }
        return space
    }

    func space(tenant: Tenant, namespace: NamespaceID) -> KeySpace? {
        state.withLock { state in
            guard let description = state.descriptions[namespace] else { return nil }
            return space(in: &state, tenant: tenant, id: namespace, description: description)
        }
    }

    func space(tenant: Tenant, database: Int) -> KeySpace {
        space(tenant: tenant, service: "redis \(database)")
    }

    func space(tenant: Tenant, service: String) -> KeySpace {
        let id = NamespaceID(ofReservedName: service)
        return state.withLock { space(in: &$0, tenant: tenant, id: id, description: nil) }
    }

    /// The prefixes of all spaces that a tenant has used.
    func prefixes(of tenant: Tenant) -> Set<KeyPrefix> {
        state.withLock { state in
            Set(state.spacesByPrefix.compactMap { $0.value.tenant == tenant ? $0.key : nil })
        }
    }

    /// A tenant as the memory tier knows it.
    func mark(of tenant: Tenant) -> TenantMark { TenantMark(secret: secret, tenant: tenant) }

    func space(prefix: KeyPrefix) -> KeySpace? {
        state.withLock { $0.spacesByPrefix[prefix] }
    }

    private func space(
        in state: inout State,
        tenant: Tenant,
        id: NamespaceID,
        description: NamespaceDescription?
    ) -> KeySpace {
        let name = SpaceName(tenant: tenant, namespace: id)
        if let known = state.spaces[name] { return known }
        let prefix = KeyPrefix(secret: secret, tenant: tenant, namespace: id)
        let part = KeySpace(
            tenant: tenant,
            namespace: id,
            description: description,
            prefix: prefix,
            tenantMark: mark(of: tenant)
        )
        // Plain keys may be replaced, so no node keeps copies of another's: they are asked for by their commands.
        let space = isClustered && description != nil ? KeySpace(sharing: part) : part
        state.spaces[name] = space
        state.spacesByPrefix[prefix] = space
        return space
    }

    private func save(_ descriptions: [NamespaceDescription]) throws(CacheError) {
        guard let fileURL else { return }
        var data = Data()
        for description in descriptions {
            data.append(contentsOf: description.canonicalBytes)
            data.append(UInt8(ascii: "\n"))
        }
        try PrivateFile.write(Array(data), to: fileURL.path)
    }
}
