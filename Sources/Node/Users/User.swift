package import Blocks

/// One user of a node.
package struct User: Sendable, Hashable {
    /// The name given to AUTH.
    package let name: String
    /// Whose blocks the user sees.
    package let tenant: Tenant
    /// What the user may do.
    package let scopes: Set<Scope>
    /// The password's hash.
    let password: PasswordHash?

    /// Who everybody is on a node without users.
    static let anybody = User(name: "default", tenant: .default, scopes: Set(Scope.allCases), password: nil)

    /// Another node of the cluster, for a client of `tenant`: it has checked what that client may do.
    static func peer(_ tenant: Tenant) -> User {
        User(name: "peer", tenant: tenant, scopes: Set(Scope.allCases), password: nil)
    }

    /// The user with one more scope.
    func with(_ scope: Scope) -> User {
        User(name: name, tenant: tenant, scopes: scopes.union([scope]), password: password)
    }

    /// Whether the user may do what needs `scope`.
    func may(_ scope: Scope) -> Bool {
        scope == .connect || scopes.contains(scope)
    }
}
