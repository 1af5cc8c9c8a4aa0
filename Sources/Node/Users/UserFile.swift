package import Blocks
internal import Foundation

/// The users of a node, read from a file with one user per line:
///
/// ```
/// # name:tenant:scopes:password-hash
/// default:default:read,write:scrypt$14$8$1$...
/// ops:default:read,write,admin,operator:scrypt$14$8$1$...
/// ```
///
/// Empty lines and lines that begin with `#` are skipped. `AUTH password` means the user `default`, as in Redis. In a file
/// that gives nobody the scope `operator` and whose users are all of one tenant, every admin has it.
package struct UserFile: Sendable {
    /// The users by name.
    package let users: [String: User]

    /// The tenants they belong to.
    package var tenants: Set<Tenant> { Set(users.values.map(\.tenant)) }

    /// Whether anybody may see and drain the whole node.
    package var hasOperator: Bool { users.values.contains { $0.may(.operator) } }

    /// Largest users file, bytes.
    package static let byteCountMax = 4 << 20

    /// Reads the text of a users file; throws `.invalidArgument` that names the line, never its content.
    package init(parsing text: String) throws(CacheError) {
        var users: [String: User] = [:]
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = line.trimmingCharacters(in: .whitespacesAndNewlines)
            if line.isEmpty || line.hasPrefix("#") { continue }
            let user = try Self.user(line, number: index + 1)
            guard users.updateValue(user, forKey: user.name) == nil else {
                throw CacheError(.invalidArgument, "users file, line \(index + 1): the user was given before")
            }
        }
        guard !users.isEmpty else {
            throw CacheError(
                .invalidArgument,
                "the users file names no user; add lines name:tenant:scopes:password-hash"
            )
        }
        self.users = Self.withOperators(users)
    }

    /// Makes admins operators where no other tenant can be concerned and nobody said who the operators are.
    private static func withOperators(_ users: [String: User]) -> [String: User] {
        let isOneTenant = Set(users.values.map(\.tenant)).count == 1
        guard isOneTenant, !users.values.contains(where: { $0.may(.operator) }) else { return users }
        return users.mapValues { $0.may(.admin) ? $0.with(.operator) : $0 }
    }

    /// Reads lines of which each stands for itself: the users by name, and how many lines were none.
    static func users(ofLines lines: [String]) -> (users: [String: User], skippedCount: Int) {
        var users: [String: User] = [:]
        var skippedCount = 0
        for (index, line) in lines.enumerated() {
            if let user = try? user(line, number: index + 1) {
                users[user.name] = user
            } else {
                skippedCount += 1
            }
        }
        return (users, skippedCount)
    }

    /// Reads the users file at `path`.
    package init(path: String) throws(CacheError) {
        guard let size = (try? FileManager.default.attributesOfItem(atPath: path)[.size]) as? Int,
            size <= Self.byteCountMax, let text = try? String(contentsOfFile: path, encoding: .utf8)
        else {
            throw CacheError(
                .invalidArgument,
                "the users file \(path) cannot be read as text of at most \(Self.byteCountMax) bytes"
            )
        }
        try self.init(parsing: text)
    }

    /// The password hash to put into a users file. Takes a few hundredths of a second.
    package static func hash(password: String) throws(CacheError) -> String {
        try PasswordHash(password: password).text
    }

    private static func user(_ line: String, number: Int) throws(CacheError) -> User {
        let fields = line.split(separator: ":", maxSplits: 3, omittingEmptySubsequences: false)
        guard fields.count == 4, !fields[0].isEmpty, fields[0].utf8.count <= 128 else {
            throw CacheError(
                .invalidArgument,
                "users file, line \(number): expected name:tenant:scopes:password-hash"
            )
        }
        guard let tenant = try? Tenant(String(fields[1])) else {
            throw CacheError(
                .invalidArgument,
                "users file, line \(number): the tenant is not a tenant's name"
            )
        }
        var scopes: Set<Scope> = []
        for word in fields[2].split(separator: ",") {
            guard let scope = Scope(rawValue: String(word)), scope != .connect else {
                throw CacheError(
                    .invalidArgument,
                    "users file, line \(number): scopes are read, write, admin and operator"
                )
            }
            scopes.insert(scope)
        }
        guard let password = PasswordHash(parsing: fields[3]) else {
            throw CacheError(
                .invalidArgument,
                "users file, line \(number): the password hash is not one that larder made (scrypt$...)"
            )
        }
        return User(name: String(fields[0]), tenant: tenant, scopes: scopes, password: password)
    }
}
