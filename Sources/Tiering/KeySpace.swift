package import Blocks

/// One tenant's view of one namespace: where its keys live and how they are counted.
///
/// Resolved once per connection and namespace; requests then carry only this reference.
package final class KeySpace: Sendable {
    /// Who asks.
    package let tenant: Tenant
    /// Which KV blocks can be mixed.
    package let namespace: NamespaceID
    /// The number format of the namespace's blocks.
    package let elementType: ElementType
    /// What the namespace's blocks are, for namespaces that a client has described.
    package let description: NamespaceDescription?
    /// The internal prefix of every key.
    package let prefix: KeyPrefix
    /// The tenant as the memory tier knows it.
    package let tenantMark: TenantMark
    /// Whether reads go on to other nodes of the cluster, and puts to the owners of their blocks.
    package let isShared: Bool
    /// What happened in this space.
    let counters: SpaceCounters
    private let part: KeySpace?

    /// The same space as this node alone has it: what other nodes ask for must not go on to others.
    package var onThisNode: KeySpace { part ?? self }

    /// A space of this node alone.
    init(
        tenant: Tenant,
        namespace: NamespaceID,
        description: NamespaceDescription?,
        prefix: KeyPrefix,
        tenantMark: TenantMark
    ) {
        self.tenant = tenant
        self.tenantMark = tenantMark
        self.namespace = namespace
        self.description = description
        elementType = description?.elementType ?? .unspecified
        self.prefix = prefix
        counters = SpaceCounters()
        part = nil
        isShared = false
    }

    /// A space of a cluster, of which `part` is this node's.
    init(sharing part: KeySpace) {
        tenant = part.tenant
        tenantMark = part.tenantMark
        namespace = part.namespace
        description = part.description
        elementType = part.elementType
        prefix = part.prefix
        counters = part.counters
        self.part = part
        isShared = true
    }

    /// The identity of `key` in this space.
    package func identity(of key: RawSpan) -> BlockIdentity {
        BlockIdentity(prefix: prefix, key: key)
    }
}
