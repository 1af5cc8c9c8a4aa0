internal import Blocks

/// Adds a line to the text of a users file.
///
/// Pure: the password is hashed already.
struct UserLine {
    let name: String
    let tenant: Tenant
    /// In the order they are to be written.
    let scopes: [String]
    let passwordHash: String

    /// `name:tenant:scopes:password-hash`.
    var text: String {
        "\(name):\(tenant.name):\(scopes.joined(separator: ",")):\(passwordHash)"
    }

    /// `file` with this line added at the end, or in place of the user's line when `replaces` is true.
    func added(to file: String, replaces: Bool) throws(CommandFailure) -> String {
        var lines = file.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        while lines.last?.isEmpty == true { lines.removeLast() }
        if let index = lines.firstIndex(where: { $0.hasPrefix(name + ":") }) {
            guard replaces else {
                throw CommandFailure(
                    .negative,
                    "user '\(name)' is there already; give --replace to change it"
                )
            }
            lines[index] = text
        } else {
            if lines.isEmpty { lines.append("# name:tenant:scopes:password-hash") }
            lines.append(text)
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
