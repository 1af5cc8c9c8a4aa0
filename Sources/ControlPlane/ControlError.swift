package import Blocks
package import GRPCCore

/// Why a call fails: a gRPC status code and what to do.
package struct ControlError: Error, Hashable, RPCErrorConvertible {
    /// The status that the client gets.
    package let code: RPCError.Code
    /// What happened and what to do, for a person.
    package let message: String

    package var rpcErrorCode: RPCError.Code { code }
    package var rpcErrorMessage: String { message }

    /// Creates an error.
    package init(_ code: RPCError.Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The store's error as clients of gRPC know it.
    package init(_ error: CacheError) {
        code =
            switch error.code {
            case .invalidArgument: .invalidArgument
            case .limitExceeded, .memoryExhausted: .resourceExhausted
            case .overloaded, .tierUnavailable, .shuttingDown: .unavailable
            case .corruptBlock: .dataLoss
            case .conflict: .alreadyExists
            case .unauthorized: .permissionDenied
            default: .internalError
            }
        message = error.message
    }

    /// A namespace that the tenant does not know, from a caller who may not make it known.
    package static let mayNotRegister = ControlError(
        .permissionDenied,
        "a namespace that the tenant does not know yet is described by a user with the scope write"
    )

    /// A namespace that the tenant has not described.
    package static let unknownNamespace = ControlError(
        .notFound,
        "unknown namespace: call DescribeNamespace with its description first"
    )
}
