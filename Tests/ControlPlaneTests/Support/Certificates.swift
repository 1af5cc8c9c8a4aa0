import Foundation

/// Certificates made by openssl: two authorities, a node's certificate and a client's of each.
struct Certificates {
    let directory: String

    init(in directory: String) throws {
        self.directory = directory
        for authority in ["ca", "other-ca"] {
            try Self.openssl(
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-keyout",
                "\(directory)/\(authority).key",
                "-out",
                "\(directory)/\(authority).pem",
                "-subj",
                "/CN=\(authority)",
                "-days",
                "2"
            )
        }
        try issue("node", by: "ca")
        try issue("client", by: "ca")
        try issue("stranger", by: "other-ca")
    }

    /// The path of a certificate.
    func certificate(_ name: String) -> String { "\(directory)/\(name).pem" }

    /// The path of its key.
    func key(_ name: String) -> String { "\(directory)/\(name).key" }

    private func issue(_ name: String, by authority: String) throws {
        try Self.openssl(
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            key(name),
            "-out",
            "\(directory)/\(name).csr",
            "-subj",
            "/CN=\(name)"
        )
        try "subjectAltName=IP:127.0.0.1,DNS:localhost\n"
            .write(toFile: "\(directory)/\(name).ext", atomically: true, encoding: .utf8)
        try Self.openssl(
            "x509",
            "-req",
            "-in",
            "\(directory)/\(name).csr",
            "-CA",
            certificate(authority),
            "-CAkey",
            key(authority),
            "-CAcreateserial",
            "-out",
            certificate(name),
            "-days",
            "2",
            "-extfile",
            "\(directory)/\(name).ext"
        )
    }

    private static func openssl(_ arguments: String...) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw TestError("openssl \(arguments.first ?? "") failed: is openssl installed?")
        }
    }
}
