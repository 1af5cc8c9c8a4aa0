/// What a user may do.
package enum Scope: String, Sendable, CaseIterable {
    /// Nothing but the connection's own matters. Every user may.
    case connect
    /// Look up and read the tenant's blocks.
    case read
    /// Store, delete and pin the tenant's blocks.
    case write
    /// Clear whole databases and namespaces, and see figures of the whole node.
    case admin
}
