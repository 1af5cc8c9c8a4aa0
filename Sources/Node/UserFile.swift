package import Blocks

/// The users of a node, read from a file with one user per line: `name:tenant:scopes:password-hash`.
package struct UserFile: Sendable {
    /// Reads the text of a users file; throws `.invalidArgument` that names the line.
    package init(parsing text: String) throws(CacheError) {
    }

    /// Reads the users file at `path`.
    package init(path: String) throws(CacheError) {
    }

    /// The password hash to put into a users file.
    package static func hash(password: String) throws(CacheError) -> String {
        ""
    }
}
