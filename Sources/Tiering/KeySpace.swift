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
    /// What happened in this space.
    let counters = SpaceCounters()

    init(tenant: Tenant, namespace: NamespaceID, description: NamespaceDescription?, prefix: KeyPrefix) {
        self.tenant = tenant
        self.namespace = namespace
        self.description = description
        elementType = description?.elementType ?? .unspecified
        self.prefix = prefix
    }

    /// The identity of `key` in this space.
    package func identity(of key: RawSpan) -> BlockIdentity {
        BlockIdentity(prefix: prefix, key: key)
    }
}
