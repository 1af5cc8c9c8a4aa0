internal import ArgumentParser
internal import Blocks
internal import Foundation
internal import Glibc
internal import Node

/// `larder user`.
struct UserCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "user",
        abstract: "Make the file of users for 'larder serve --users'.",
        subcommands: [UserAddCommand.self]
    )
}

/// `larder user add FILE NAME`.
struct UserAddCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Add a user, or change one with --replace.",
        discussion: """
            The password is asked for, read from a pipe, or taken from --password-file; never from the command line. \
            The file keeps a salted scrypt hash of it, and is made readable by its owner only.

              larder user add users.txt engine --tenant team-a --scopes read,write
              larder user add users.txt ops --scopes read,write,admin --password-file ops.secret

            SCOPES: read looks up and reads the tenant's blocks; write stores, deletes and pins them; admin clears \
            and forgets the tenant's namespaces; operator sees the whole node's figures and connections, whosever they \
            are, and drains it. In a file that names no operator and whose users are all of one tenant, an admin is \
            one. A user named 'default' is who 'AUTH password' means.

            A running node keeps the users it started with; restart it to take the change.
            """
    )

    @Argument(help: "The users file; made when it is not there.")
    var file: String
    @Argument(help: "The user's name, as AUTH gives it.")
    var name: String
    @Option(
        help: ArgumentHelp("Whose blocks the user sees: 1 to 64 of a-z A-Z 0-9 . _ -", valueName: "tenant")
    )
    var tenant = "default"
    @Option(help: ArgumentHelp("Comma-separated: read, write, admin, operator.", valueName: "scopes"))
    var scopes = "read,write"
    @Option(
        help: ArgumentHelp("File whose first line is the password; - is standard input.", valueName: "file")
    )
    var passwordFile: String?
    @Flag(help: "Change the user when it is there.")
    var replace = false

    func validate() throws {
        let isPlain = name.utf8.allSatisfy { (0x21...0x7e).contains($0) && $0 != UInt8(ascii: ":") }
        guard isPlain, !name.isEmpty, !name.hasPrefix("#"), name.utf8.count <= 128 else {
            throw ValidationError("A user's name is 1 to 128 visible ASCII characters without ':'.")
        }
    }

    func run() throws {
        let password = try passwordFile.map { try PasswordFile.password(at: $0) } ?? PasswordPrompt.ask()
        let old = FileManager.default.fileExists(atPath: file) ? try InputFile.text(at: file) : ""
        let text: String
        do {
            let line = UserLine(
                name: name,
                tenant: try Tenant(tenant),
                scopes: scopes.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) },
                passwordHash: try UserFile.hash(password: String(decoding: password, as: UTF8.self))
            )
            text = try line.added(to: old, replaces: replace)
            _ = try UserFile(parsing: text)
        } catch let error as CacheError {
            throw CommandFailure(.usage, error.message)
        }
        try write(text)
        try StandardStreams.output("user '\(name)' of tenant '\(tenant)' is in \(file)")
    }

    /// Writes beside the file and moves into place, readable by the owner only.
    private func write(_ text: String) throws(CommandFailure) {
        let temporary = file + ".new"
        let isWritten = FileManager.default.createFile(
            atPath: temporary,
            contents: Data(text.utf8),
            attributes: [.posixPermissions: 0o600]
        )
        // One step: whoever reads the file finds the old users or the new ones.
        guard isWritten, unsafe rename(temporary, file) == 0 else {
            _ = unsafe unlink(temporary)
            throw CommandFailure(.inputOutput, "cannot write \(file): is its directory there and writable?")
        }
    }
}
