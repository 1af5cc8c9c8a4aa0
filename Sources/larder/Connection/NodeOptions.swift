internal import ArgumentParser
internal import Foundation
internal import LarderClient

/// How a command finds its node and proves who it is.
struct NodeOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "HOST:PORT of the node, or unix:PATH. (default: 127.0.0.1:7379; LARDER_NODE)",
            valueName: "address"
        )
    )
    var node: LarderEndpoint?

    @Option(help: ArgumentHelp("User name, for a node with users. (LARDER_USER)", valueName: "name"))
    var user: String?

    @Option(
        help: ArgumentHelp("File whose first line is the password. (LARDER_PASSWORD_FILE)", valueName: "file")
    )
    var passwordFile: String?

    @Option(help: ArgumentHelp("Longest wait for an answer of the node.", valueName: "time"))
    var timeout = TimeSpan(milliseconds: 5_000)

    /// Where the node listens unless something else is said.
    static let standard = LarderEndpoint.tcp(host: "127.0.0.1", port: LarderEndpoint.defaultPort)

    /// Runs `work` with a client of the node that flags or the environment name; its errors become failures that
    /// say what to do.
    func withNode<Result>(
        environment: [String: String] = ProcessInfo.processInfo.environment,
        _ work: (LarderAdmin) async throws -> Result
    ) async throws -> Result {
        var configuration = try configuration(environment)
        configuration.connectionCount = 1
        let client = LarderClient(configuration)
        defer { client.close() }
        do {
            return try await work(client.admin)
        } catch let error as LarderClientError {
            throw Self.failure(error, configuration.endpoint)
        }
    }

    /// How to reach the node that flags or the environment name.
    func configuration(
        _ environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(CommandFailure) -> LarderClientConfiguration {
        var configuration = LarderClientConfiguration(
            endpoint: try endpoint(environment),
            credentials: try credentials(environment)
        )
        configuration.administrationTimeout = timeout.duration
        return configuration
    }

    /// The node's address: the flag, then LARDER_NODE, then the standard one.
    func endpoint(_ environment: [String: String]) throws(CommandFailure) -> LarderEndpoint {
        if let node { return node }
        guard let text = environment["LARDER_NODE"], !text.isEmpty else { return Self.standard }
        guard let endpoint = LarderEndpoint(text) else {
            throw CommandFailure(
                .configuration,
                "LARDER_NODE: '\(text)' is no address such as 127.0.0.1:7379 or unix:PATH"
            )
        }
        return endpoint
    }

    /// The user and password that flags or the environment name.
    func credentials(
        _ environment: [String: String]
    ) throws(CommandFailure) -> LarderClientConfiguration.Credentials? {
        guard let name = user ?? environment["LARDER_USER"] else { return nil }
        guard let path = passwordFile ?? environment["LARDER_PASSWORD_FILE"] else {
            throw CommandFailure(
                .usage,
                "--user needs --password-file: a file whose first line is the password"
            )
        }
        let password = try PasswordFile.password(at: path)
        return LarderClientConfiguration.Credentials(
            user: name,
            password: String(decoding: password, as: UTF8.self)
        )
    }

    private static func failure(_ error: LarderClientError, _ endpoint: LarderEndpoint) -> CommandFailure {
        switch error.code {
        case .unreachable:
            CommandFailure(
                .unavailable,
                "no node at \(endpoint) (\(error.message)): start one with 'larder serve', or see --node"
            )
        case .timedOut, .overloaded, .circuitOpen:
            CommandFailure(.unavailable, "the node at \(endpoint) did not answer in time; see --timeout")
        case .incomplete:
            CommandFailure(.unavailable, error.message)
        case .unauthorized:
            CommandFailure(
                .noPermission,
                "the node refused: \(error.message); see --user and --password-file"
            )
        case .answeredWithError where error.message.contains("NOPERM"):
            CommandFailure(.noPermission, "the node refused: \(error.message)")
        case .invalidArgument:
            CommandFailure(.usage, error.message)
        default:
            CommandFailure(.software, "the node at \(endpoint) answered: \(error.message)")
        }
    }
}
