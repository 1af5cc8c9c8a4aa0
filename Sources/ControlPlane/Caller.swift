package import Blocks

/// What a method needs of its caller.
package enum Permission: String, Sendable, CaseIterable {
    case read, write, admin, `operator`
}

/// Who makes a call.
package struct Caller: Sendable {
    /// Whose blocks the caller sees.
    package let tenant: Tenant
    /// What the caller may do.
    package let permissions: Set<Permission>

    /// Who everybody is on a node without users.
    package static let anybody = Caller(tenant: .default, permissions: Set(Permission.allCases))

    /// Describes a caller.
    package init(tenant: Tenant, permissions: Set<Permission>) {
        self.tenant = tenant
        self.permissions = permissions
    }
}

/// Knows users by their passwords.
package protocol CallerCheck: Sendable {
    /// Who has this name and password, if they were right before; `nil` says nothing about others. Takes microseconds.
    func knownCaller(name: String, password: String) -> Caller?
    /// Finds out who has this name and password, on a thread of its own, as hashing is slow.
    ///
    /// - Parameters:
    ///   - peer: address of the connection, as gRPC writes it.
    ///   - hasFailed: whether a password was wrong on the connection before.
    ///   - completion: called once, from any thread.
    func check(
        name: String,
        password: String,
        peer: String,
        hasFailed: Bool,
        _ completion: @escaping @Sendable (CallerVerdict) -> Void
    )
    /// What the attempts of a connection's address are counted under.
    func party(of peer: String) -> String
}

/// What a password came to.
package enum CallerVerdict: Sendable {
    case accepted(Caller)
    /// The answer is held back the usual delay times `delayFactor`.
    case refused(delayFactor: Int)
    /// Too many attempts wait.
    case overloaded
}
