/// A tenant as the memory tier knows it: 16 bytes derived from the tenant and the node's secret.
///
/// Two tenants never share a mark, and a mark in a file tells nothing about its tenant to who has no secret.
public struct TenantMark: Hashable, Sendable, BitwiseCopyable {
    /// The 16 bytes as two little-endian words.
    public let words: SIMD2<UInt64>

    /// Wraps stored words.
    public init(words: SIMD2<UInt64>) {
        self.words = words
    }

    /// Derives the mark like the prefix of a namespace that no client can describe.
    public init(secret: NodeSecret, tenant: Tenant) {
        words =
            KeyPrefix(secret: secret, tenant: tenant, namespace: NamespaceID(ofReservedName: "tenant mark"))
            .words
    }
}
