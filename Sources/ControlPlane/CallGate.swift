internal import Blocks
internal import Foundation
internal import GRPCCore

/// What every call passes before its method: who calls, what the caller may do, how many calls there are, and for how
/// long the call may last. Its time runs from the headers on.
struct CallGate: ServerInterceptor {
    let limits: ControlLimits
    /// Knows the users; `nil` on a node without.
    let check: (any CallerCheck)?
    let connections: ConnectionBook
    let counters: ControlCounters
    /// Calls of known callers.
    let calls: TicketCounter
    /// Of those, each user's.
    let userCalls: KeyedTicketCounter
    /// Calls whose passwords are being checked.
    let authentications: ReplaceableSlots
    let healthChecks: ReplaceableSlots
    let healthWatches: KeyedTicketCounter

    /// Longest `authorization`, bytes.
    private static let credentialsByteCountMax = 4_096

    init(
        _ limits: ControlLimits,
        check: (any CallerCheck)?,
        connections: ConnectionBook,
        counters: ControlCounters,
        calls: TicketCounter
    ) {
        self.limits = limits
        self.check = check
        self.connections = connections
        self.counters = counters
        self.calls = calls
        userCalls = KeyedTicketCounter(countMax: .max, countPerKeyMax: limits.callsPerUserMax)
        authentications = ReplaceableSlots(countMax: limits.authenticatingCallCountMax)
        healthChecks = ReplaceableSlots(countMax: limits.healthCheckCountMax)
        healthWatches = KeyedTicketCounter(
            countMax: limits.healthWatchCountMax,
            countPerKeyMax: limits.healthWatchesPerConnectionMax
        )
    }

    func intercept<Input: Sendable, Output: Sendable>(
        request: StreamingServerRequest<Input>,
        context: ServerContext,
        next:
            @concurrent @Sendable (StreamingServerRequest<Input>, ServerContext) async throws ->
            StreamingServerResponse<Output>
    ) async throws -> StreamingServerResponse<Output> {
        let rule = MethodRule(context.descriptor, limits)
        let clock = CallClock(timeout: rule.timeout, limits)
        let connection = connections.callBegan(on: context.remotePeer)
        return try await withoutActuallyEscaping(next) { next in
            try await within(clock, context, rule) {
                let call: ControlCall
                switch rule.need {
                case .healthCheck, .healthWatch:
                    call = ControlCall(
                        caller: Caller(tenant: .default, permissions: []),
                        clock: clock,
                        tickets: [connection, try healthTicket(rule, context.remotePeer)]
                    )
                case .permission(let permission):
                    let (caller, party) = try await knownCaller(
                        request.metadata,
                        context.remotePeer,
                        connection
                    )
                    guard caller.permissions.contains(permission) else { throw Self.denied(permission) }
                    connection?.becameKnown()
                    call = ControlCall(
                        caller: caller,
                        clock: clock,
                        tickets: [connection] + (try callTickets(party))
                    )
                }
                let response = try await ControlCall.$current.withValue(call) {
                    try await next(request, context)
                }
                return Self.keeping(call, in: response)
            }
        }
    }

    /// Runs the part of a call up to its response within the call's time: the check of who calls, the wait for the first
    /// message and, unless the method streams its response, the method.
    private func within<Output: Sendable>(
        _ clock: CallClock,
        _ context: ServerContext,
        _ rule: MethodRule,
        _ body: @escaping @Sendable () async throws -> StreamingServerResponse<Output>
    ) async throws -> StreamingServerResponse<Output> {
        let slot =
            rule.need == .healthCheck
            ? healthChecks.take(context.remotePeer) { counters.add(.healthChecksReplaced) } : nil
        return try await withThrowingTaskGroup(of: StreamingServerResponse<Output>.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await body() }
            group.addTask {
                let error = try await clock.timeIsOver()
                counters.add(.callsTimedOut)
                throw error
            }
            group.addTask {
                try await context.cancellation.cancelled
                throw ControlError(.cancelled, "the client or the node ended the call")
            }
            if let slot {
                group.addTask {
                    try await slot.isReplaced()
                    throw ControlError(
                        .resourceExhausted,
                        "too many health checks have not sent their request"
                    )
                }
            }
            guard let response = try await group.next() else {
                throw ControlError(.internalError, "the call ended without an answer")
            }
            return response
        }
    }

    /// The response, with the call as the current one while its messages are produced.
    private static func keeping<Output: Sendable>(
        _ call: ControlCall,
        in response: StreamingServerResponse<Output>
    ) -> StreamingServerResponse<Output> {
        guard case .success(var contents) = response.accepted else { return response }
        var response = response
        let producer = contents.producer
        contents.producer = { writer in
            try await ControlCall.$current.withValue(call) { try await producer(writer) }
        }
        response.accepted = .success(contents)
        return response
    }

    // MARK: Who calls

    /// Who calls, and the name that the calls of the caller are counted under; `nil` without users.
    private func knownCaller(
        _ metadata: Metadata,
        _ peer: String,
        _ connection: ConnectionCall?
    ) async throws -> (caller: Caller, party: String?) {
        guard let check else { return (.anybody, nil) }
        guard let (name, password) = Self.credentials(metadata) else {
            throw ControlError(
                .unauthenticated,
                "this node has users: send the metadata 'authorization: Basic base64(name:password)'"
            )
        }
        if let caller = check.knownCaller(name: name, password: password) { return (caller, name) }
        let slot = authentications.take(check.party(of: peer)) { counters.add(.authenticationsReplaced) }
        let caller = try await withThrowingTaskGroup(of: Caller.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await checkedCaller(name, password, peer, connection, check) }
            group.addTask {
                try await slot.isReplaced()
                throw ControlError(.resourceExhausted, "too many passwords are being checked; try again")
            }
            guard let caller = try await group.next() else {
                throw ControlError(.internalError, "the check ended without an answer")
            }
            return caller
        }
        return (caller, name)
    }

    private func checkedCaller(
        _ name: String,
        _ password: String,
        _ peer: String,
        _ connection: ConnectionCall?,
        _ check: any CallerCheck
    ) async throws -> Caller {
        let hasFailed = connection?.hasFailed ?? false
        let verdict = try await StoreReply.wait {
            check.check(name: name, password: password, peer: peer, hasFailed: hasFailed, $0)
        }
        switch verdict {
        case .accepted(let caller): return caller
        case .refused(let delayFactor):
            counters.add(.authenticationFailures)
            connection?.failed()
            try await Task.sleep(for: limits.refusalDelay * delayFactor)
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

    private static func denied(_ permission: Permission) -> ControlError {
        ControlError(
            .permissionDenied,
            "this method needs the scope \(permission.rawValue), which the user does not have"
        )
    }

    // MARK: How many calls there are

    private func callTickets(_ party: String?) throws(ControlError) -> [any Sendable] {
        var tickets: [any Sendable] = []
        if let party {
            guard let ticket = userCalls.take(party) else {
                counters.add(.callsRefused)
                throw ControlError(
                    .resourceExhausted,
                    "this node answers \(limits.callsPerUserMax) calls of one user at a time; try again"
                )
            }
            tickets.append(ticket)
        }
        guard let ticket = calls.take() else {
            counters.add(.callsRefused)
            throw ControlError(
                .resourceExhausted,
                "this node answers \(limits.callCountMax) calls at a time; try again"
            )
        }
        tickets.append(ticket)
        return tickets
    }

    private func healthTicket(_ rule: MethodRule, _ peer: String) throws(ControlError) -> KeyedTicket? {
        guard rule.need == .healthWatch else { return nil }
        guard let ticket = healthWatches.take(peer) else {
            counters.add(.healthWatchesRefused)
            throw ControlError(
                .resourceExhausted,
                "this node has \(limits.healthWatchCountMax) health watches at a time, and"
                    + " \(limits.healthWatchesPerConnectionMax) of one connection; use Check"
            )
        }
        return ticket
    }
}
