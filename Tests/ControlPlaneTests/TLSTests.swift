import ControlAPI
import ControlPlane
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import MemoryTier
import Node
import TestSupport
import Testing
import Tiering

@Suite("TLS of the control plane")
struct TLSTests {
    private typealias Security = HTTP2ClientTransport.Posix.TransportSecurity

    private static func security(_ certificates: Certificates, client: String?) -> Security {
        .tls { configuration in
            configuration.trustRoots = .certificates([
                .file(path: certificates.certificate("ca"), format: .pem)
            ])
            // An address is no host name.
            configuration.serverCertificateVerification = .noHostnameVerification
            guard let client else { return }
            configuration.certificateChain = [
                .file(path: certificates.certificate(client), format: .pem)
            ]
            configuration.privateKey = .file(path: certificates.key(client), format: .pem)
        }
    }

    private func check(_ node: ControlNode, _ security: Security) async throws -> RPCError.Code? {
        var options = CallOptions.defaults
        options.waitForReady = false
        let fast = options
        return try await status {
            try await node.withClient(security: security) { client in
                _ = try await client.health.check(.init(), options: fast)
            }
        }
    }

    private func withNode(
        asksClients: Bool,
        _ body: (ControlNode, Certificates) async throws -> Void
    ) async throws {
        let directory = try TemporaryDirectory()
        let certificates = try Certificates(in: directory.path)
        let node = try await ControlNode { configuration, _ in
            configuration.controlTLS = ControlTLS(
                certificatePath: certificates.certificate("node"),
                keyPath: certificates.key("node"),
                clientCAPath: asksClients ? certificates.certificate("ca") : nil
            )
        }
        do {
            try await body(node, certificates)
        } catch {
            await node.node.drainAndStop()
            throw error
        }
        await node.node.drainAndStop()
    }

    @Test("clients that trust the node's authority are served; those without TLS are not")
    func serverOnly() async throws {
        try await withNode(asksClients: false) { node, certificates in
            let answer1 = try await check(node, Self.security(certificates, client: nil))
            #expect(answer1 == nil)
            let answer2 = try await check(node, .plaintext)
            #expect(answer2 == .unavailable)
        }
    }

    @Test("with a client authority a certificate of it is required")
    func mutual() async throws {
        try await withNode(asksClients: true) { node, certificates in
            let answer3 = try await check(node, Self.security(certificates, client: "client"))
            #expect(answer3 == nil)
            let answer4 = try await check(node, Self.security(certificates, client: nil))
            #expect(answer4 == .unavailable)
            let answer5 = try await check(node, Self.security(certificates, client: "stranger"))
            #expect(answer5 == .unavailable)
            let answer6 = try await check(node, Self.security(certificates, client: "client"))
            #expect(answer6 == nil)
        }
    }

    @Test("a node whose certificate cannot be read does not start")
    func missing() async throws {
        await #expect(throws: (any Error).self) {
            _ = try await ControlNode { configuration, directory in
                configuration.controlTLS = ControlTLS(
                    certificatePath: "\(directory)/none.pem",
                    keyPath: "\(directory)/none.key"
                )
            }
        }
    }
}
