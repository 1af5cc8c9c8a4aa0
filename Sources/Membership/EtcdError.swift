internal import Blocks
internal import GRPCCore

/// What errors of gRPC and of etcd mean, for programs and for people.
enum EtcdError {
    /// Whether the token has run out, or is older than the last change of etcd's users.
    static func isTokenEnd(_ error: RPCError) -> Bool {
        error.code == .unauthenticated || error.message.contains("auth token")
            || error.message.contains("revision of auth store is old")
    }

    /// The error for whoever starts a node.
    static func cacheError(_ error: any Error, _ endpoint: EtcdEndpoint) -> CacheError {
        if let error = error as? CacheError { return error }
        let what = "etcd at \(endpoint)"
        guard let error = error as? RPCError else {
            return CacheError(.tierUnavailable, "\(what): \(text(of: error))")
        }
        if error.message.contains("authentication failed") {
            return CacheError(.unauthorized, "\(what) knows no such user with this password")
        }
        if error.message.contains("user name is empty") || error.code == .unauthenticated {
            return CacheError(
                .unauthorized,
                "\(what) wants a user and a password: etcd://user:password@host:port/prefix"
            )
        }
        if error.code == .permissionDenied {
            return CacheError(
                .unauthorized,
                "\(what) does not let the user read and write under the prefix: \(text(of: error))"
            )
        }
        if error.code == .aborted { return CacheError(.tierUnavailable, "\(what): \(error.message)") }
        if error.code == .deadlineExceeded {
            return CacheError(.tierUnavailable, "\(what) did not answer in time")
        }
        return CacheError(.tierUnavailable, "\(what) cannot be reached: \(text(of: error))")
    }

    /// The error and its causes, at most 400 characters.
    static func text(of error: any Error) -> String {
        var parts: [String] = []
        var next: (any Error)? = error
        while let error = next, parts.count < 4 {
            switch error {
            case let error as RPCError:
                parts.append(error.message)
                next = error.cause
            case let error as RuntimeError:
                parts.append(error.message)
                next = error.cause
            default:
                parts.append(String(describing: error))
                next = nil
            }
        }
        // The first says only that there is a second.
        if parts.count > 1 { parts.removeFirst() }
        return String(parts.joined(separator: ": ").prefix(400))
    }
}
