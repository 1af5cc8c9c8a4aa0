package import Blocks

/// What a method needs of its caller.
package enum Permission: String, Sendable, CaseIterable {
    case read, write, admin
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
    /// Who has this name and password; never blocks a cooperative thread, however slow hashing is.
    func check(name: String, password: String) async -> CallerVerdict
}

/// What a password came to.
package enum CallerVerdict: Sendable {
    case accepted(Caller)
    case refused
    /// Too many attempts wait.
    case overloaded
}
