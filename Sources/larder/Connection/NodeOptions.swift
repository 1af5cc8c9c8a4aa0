internal import ArgumentParser
internal import Foundation

/// How a command finds its node and proves who it is.
struct NodeOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "HOST:PORT of the node, or unix:PATH. (default: 127.0.0.1:7379; LARDER_NODE)",
            valueName: "address"
        )
    )
    var node: NodeAddress?

    @Option(help: ArgumentHelp("User name, for a node with users. (LARDER_USER)", valueName: "name"))
    var user: String?

    @Option(
        help: ArgumentHelp("File whose first line is the password. (LARDER_PASSWORD_FILE)", valueName: "file")
    )
    var passwordFile: String?

    @Option(help: ArgumentHelp("Longest wait for the node.", valueName: "time"))
    var timeout = TimeSpan(milliseconds: 5_000)

    /// Connects to the node that flags or the environment name.
    func connect(
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(CommandFailure) -> NodeConnection {
        try NodeConnection(to: address(environment), as: credentials(environment), timeout: timeout)
    }

    /// The node's address: the flag, then LARDER_NODE, then the standard one.
    func address(_ environment: [String: String]) throws(CommandFailure) -> NodeAddress {
        if let node { return node }
        guard let text = environment["LARDER_NODE"], !text.isEmpty else { return .standard }
        guard let address = NodeAddress(text) else {
            throw CommandFailure(
                .configuration,
                "LARDER_NODE: '\(text)' is no address such as 127.0.0.1:7379 or unix:PATH"
            )
        }
        return address
    }

    private func credentials(_ environment: [String: String]) throws(CommandFailure) -> Credentials? {
        guard let name = user ?? environment["LARDER_USER"] else { return nil }
        guard let path = passwordFile ?? environment["LARDER_PASSWORD_FILE"] else {
            throw CommandFailure(
                .usage,
                "--user needs --password-file: a file whose first line is the password"
            )
        }
        return Credentials(user: name, password: try PasswordFile.password(at: path))
    }
}
