/// What a user may do.
package enum Scope: String, Sendable, CaseIterable {
    /// Nothing but the connection's own matters. Every user may.
    case connect
    /// Look up and read the tenant's blocks.
    case read
    /// Store, delete and pin the tenant's blocks.
    case write
    /// Clear the tenant's databases and namespaces, and forget namespaces that hold nothing.
    case admin
    /// See figures and connections of the whole node, whosever they are, and drain it.
    case `operator`
}
