internal import Blocks
internal import Foundation
internal import GRPCCore

/// What every call passes before its method: how many there are, who calls, and what the caller may do.
struct CallGate: ServerInterceptor {
    let limits: ControlLimits
    /// Knows the users; `nil` on a node without.
    let check: (any CallerCheck)?
    let calls: TicketCounter

    /// Longest `authorization`, bytes.
    private static let credentialsByteCountMax = 4_096

    func intercept<Input: Sendable, Output: Sendable>(
        request: StreamingServerRequest<Input>,
        context: ServerContext,
        next:
            @concurrent @Sendable (StreamingServerRequest<Input>, ServerContext) async throws ->
            StreamingServerResponse<Output>
    ) async throws -> StreamingServerResponse<Output> {
        guard let ticket = calls.take() else {
            throw ControlError(
                .resourceExhausted,
                "this node answers \(limits.callCountMax) calls at a time; try again"
            )
        }
        let rule = MethodRule(context.descriptor, limits)
        let call = ControlCall(
            caller: try await caller(request.metadata, rule),
            timeout: rule.timeout,
            idleTimeout: limits.idleTimeout,
            ticket: ticket
        )
        var response = try await ControlCall.$current.withValue(call) { try await next(request, context) }
        if case .success(var contents) = response.accepted {
            let producer = contents.producer
            contents.producer = { writer in
                try await ControlCall.$current.withValue(call) { try await producer(writer) }
            }
            response.accepted = .success(contents)
        }
        return response
    }

    private func caller(_ metadata: Metadata, _ rule: MethodRule) async throws -> Caller {
        guard let permission = rule.permission else { return Caller(tenant: .default, permissions: []) }
        let caller = try await knownCaller(metadata)
        guard caller.permissions.contains(permission) else {
            throw ControlError(
                .permissionDenied,
                "this method needs the scope \(permission.rawValue), which the user does not have"
            )
        }
        return caller
    }

    private func knownCaller(_ metadata: Metadata) async throws -> Caller {
        guard let check else { return .anybody }
        guard let (name, password) = Self.credentials(metadata) else {
            throw ControlError(
                .unauthenticated,
                "this node has users: send the metadata 'authorization: Basic base64(name:password)'"
            )
        }
        switch await check.check(name: name, password: password) {
        case .accepted(let caller): return caller
        case .refused:
            try await Task.sleep(for: limits.refusalDelay)
            throw ControlError(.unauthenticated, "unknown user or wrong password")
        case .overloaded:
            throw ControlError(.unavailable, "too many passwords are being checked; try again")
        }
    }

    private static func credentials(_ metadata: Metadata) -> (name: String, password: String)? {
        guard let value = metadata[stringValues: "authorization"].first(where: { _ in true }),
            value.utf8.count <= credentialsByteCountMax, value.lowercased().hasPrefix("basic "),
            let data = Data(base64Encoded: String(value.dropFirst("basic ".count))),
            let text = String(data: data, encoding: .utf8), let colon = text.firstIndex(of: ":")
        else { return nil }
        return (String(text[..<colon]), String(text[text.index(after: colon)...]))
    }
}
