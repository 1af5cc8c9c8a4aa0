package import Blocks
internal import Foundation

/// Files in PEM form for TLS to etcd.
package struct EtcdTLSFiles: Sendable, Hashable {
    /// Certificates of the authorities that etcd's certificate is proved by; `nil` for those of the system.
    package let authorities: String?
    /// The node's own certificate, and the others of its chain; `nil` when etcd asks for none.
    package let certificate: String?
    /// The key of the certificate.
    package let key: String?

    /// No files: the system's authorities, and no certificate of the node's own.
    init() {
        authorities = nil
        certificate = nil
        key = nil
    }

    /// Takes paths; throws `.invalidArgument` for a certificate without key, or a file that cannot be read.
    package init(authorities: String? = nil, certificate: String? = nil, key: String? = nil)
        throws(CacheError)
    {
        guard (certificate == nil) == (key == nil) else {
            throw CacheError(
                .invalidArgument,
                "a certificate for etcd needs its key, and a key its certificate"
            )
        }
        for path in [authorities, certificate, key].compactMap(\.self)
        where !FileManager.default.isReadableFile(atPath: path) {
            throw CacheError(.invalidArgument, "the file \(path) for TLS to etcd cannot be read")
        }
        self.authorities = authorities
        self.certificate = certificate
        self.key = key
    }
}
