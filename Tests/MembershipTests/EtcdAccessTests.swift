import Blocks
import Foundation
import Membership
import TestSupport
import Testing

@Suite("Access to etcd", .serialized)
struct EtcdAccessTests {
    @Test("a server that is not there or does not answer is an error that says so, and the next one is tried")
    func servers() async throws {
        let still = try await EtcdProcess()
        let gone = try await EtcdProcess()
        gone.kill()
        still.stop()
        defer { still.goOn() }
        let refused = await startError(try EtcdNode.configuration(gone.address))
        #expect(refused?.code == .tierUnavailable)
        #expect(refused?.message.contains("refused") == true, "\(String(describing: refused))")
        let silent = await startError(try EtcdNode.configuration(still.address))
        #expect(silent?.code == .tierUnavailable)
        #expect(silent?.message.contains("did not answer in time") == true, "\(String(describing: silent))")

        let etcd = try await EtcdProcess()
        let named = etcd.address.replacing("127.0.0.1", with: "localhost")
        let configuration = try EtcdNode.configuration("\(gone.address),\(still.address),\(named)")
        let node = try await EtcdNode.started("a", configuration)
        #expect(node.membership.status.isConnected)
        await node.membership.stop(leaves: true)
    }

    @Test(
        "users of etcd: wrong and missing passwords are refused at once, and a token that has run out is renewed"
    )
    func users() async throws {
        let files = try TemporaryDirectory()
        try openssl(files, "genrsa", "-out", "key.pem", "2048")
        try openssl(files, "rsa", "-in", "key.pem", "-pubout", "-out", "public.pem")
        let tokens =
            "jwt,pub-key=\(files.path)/public.pem,priv-key=\(files.path)/key.pem,sign-method=RS256,ttl=3s"
        let etcd = try await EtcdProcess(["--auth-token", tokens])
        try etcd.control("user", "add", "root:hunter2")
        try etcd.control("role", "add", "larder")
        try etcd.control("role", "grant-permission", "larder", "readwrite", "--prefix=true", "/test/")
        try etcd.control("user", "add", "larder:s3cret")
        try etcd.control("user", "grant-role", "larder", "larder")
        try etcd.control("auth", "enable")

        let wrong = await startError(try EtcdNode.configuration("larder:hunter3@\(etcd.address)"))
        #expect(wrong?.code == .unauthorized)
        #expect(wrong?.message.contains("hunter3") == false)
        let missing = await startError(try EtcdNode.configuration(etcd.address))
        #expect(missing?.code == .unauthorized)

        let passwordFile = "\(files.path)/password"
        try "s3cret\n".write(toFile: passwordFile, atomically: true, encoding: .utf8)
        let configuration = try EtcdNode.configuration("larder@\(etcd.address)", passwordFile: passwordFile)
        let first = try await EtcdNode.started("a", configuration)
        var second = try await EtcdNode.started("b", configuration)
        // The token's time must be over, and only time does that.
        try await Task.sleep(for: .milliseconds(3_100))
        second.change(weight: 4)
        try await waitUntil("the change arrives") { first.weight(of: "b") == 4 }
        // Also any change of etcd's users makes tokens too old.
        try etcd.control("--user", "root:hunter2", "user", "add", "other:x")
        second.change(weight: 5)
        try await waitUntil("the change arrives") { first.weight(of: "b") == 5 }
        for node in [first, second] {
            #expect(node.membership.status.lossCount == 0)
            await node.membership.stop(leaves: true)
        }
    }

    @Test(
        "TLS: the server is proved, the node proves itself, and what cannot be proved is an error that says so"
    )
    func certificates() async throws {
        let files = try TemporaryDirectory()
        for name in ["ca", "stranger"] {
            try openssl(
                files,
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=\(name)",
                "-keyout",
                "\(name)-key.pem",
                "-out",
                "\(name).pem"
            )
        }
        try sign(files, "server", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth")
        try sign(files, "client", "extendedKeyUsage=clientAuth")
        let path = files.path
        let etcd = try await EtcdProcess(
            [
                "--cert-file", "\(path)/server.pem", "--key-file", "\(path)/server-key.pem",
                "--client-cert-auth", "--trusted-ca-file", "\(path)/ca.pem",
            ],
            scheme: "https",
            controlOptions: [
                "--cacert", "\(path)/ca.pem", "--cert", "\(path)/client.pem", "--key",
                "\(path)/client-key.pem",
            ]
        )
        let whole = try EtcdTLSFiles(
            authorities: "\(path)/ca.pem",
            certificate: "\(path)/client.pem",
            key: "\(path)/client-key.pem"
        )
        let node = try await EtcdNode.started("a", try EtcdNode.configuration(etcd.address, tls: whole))
        #expect(try etcd.control("get", "--prefix", "/test/members/").contains("127.0.0.1"))
        await node.membership.stop(leaves: true)
        #expect(try etcd.control("get", "--prefix", "/test/members/").isEmpty)

        let strange = try EtcdTLSFiles(authorities: "\(path)/stranger.pem")
        let unproved = await startError(try EtcdNode.configuration(etcd.address, tls: strange))
        #expect(
            unproved?.message.contains("CERTIFICATE_VERIFY_FAILED") == true,
            "\(String(describing: unproved))"
        )
        let anonymous = try EtcdTLSFiles(authorities: "\(path)/ca.pem")
        #expect(await startError(try EtcdNode.configuration(etcd.address, tls: anonymous)) != nil)
        #expect(await startError(try EtcdNode.configuration(etcd.address)) != nil)
        let broken = try EtcdTLSFiles(authorities: "/dev/null")
        let unread = await startError(try EtcdNode.configuration(etcd.address, tls: broken))
        #expect(unread?.code == .invalidArgument)
    }

    /// The error of a start that must fail.
    private func startError(_ configuration: EtcdConfiguration) async -> CacheError? {
        var configuration = configuration
        configuration.startTimeout = .milliseconds(1_500)
        do throws(CacheError) {
            let node = try EtcdNode("a", configuration)
            try await node.membership.start(node.member, node.recorder)
            Issue.record("it has started")
            await node.membership.stop(leaves: true)
            return nil
        } catch {
            return error
        }
    }

    private func sign(_ files: TemporaryDirectory, _ name: String, _ extensions: String) throws {
        try extensions.write(toFile: "\(files.path)/\(name).ext", atomically: true, encoding: .utf8)
        try openssl(
            files,
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=\(name)",
            "-keyout",
            "\(name)-key.pem",
            "-out",
            "\(name).csr"
        )
        try openssl(
            files,
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            "\(name).csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca-key.pem",
            "-CAcreateserial",
            "-extfile",
            "\(name).ext",
            "-out",
            "\(name).pem"
        )
    }

    private func openssl(_ files: TemporaryDirectory, _ arguments: String...) throws {
        let process = Process()
        let problems = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/openssl")
        process.arguments = arguments
        process.currentDirectoryURL = URL(filePath: files.path)
        process.standardOutput = FileHandle.nullDevice
        process.standardError = problems
        try process.run()
        let text = String(decoding: try problems.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw EtcdProcess.Failure(description: "openssl \(arguments): \(text)")
        }
    }
}
