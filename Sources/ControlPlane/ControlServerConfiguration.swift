/// How the control plane listens.
package struct ControlServerConfiguration: Sendable {
    /// An address, not a name.
    package var address: String
    /// 0 takes a free one.
    package var port: Int
    /// `nil` is without TLS.
    package var tls: ControlTLS?
    package var limits = ControlLimits()

    /// Listens without TLS.
    package init(address: String, port: Int) {
        self.address = address
        self.port = port
    }
}

/// The files of TLS, in PEM.
package struct ControlTLS: Sendable, Hashable {
    /// The node's certificate, and those between it and its root.
    package var certificatePath: String
    /// Its private key.
    package var keyPath: String
    /// The certificates that clients' certificates must lead to; `nil` asks clients for none.
    package var clientCAPath: String?

    /// Names the files.
    package init(certificatePath: String, keyPath: String, clientCAPath: String? = nil) {
        self.certificatePath = certificatePath
        self.keyPath = keyPath
        self.clientCAPath = clientCAPath
    }
}
