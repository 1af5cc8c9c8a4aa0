internal import Blocks
internal import NIOCore
internal import RESP
internal import Synchronization
internal import Tiering

extension RedisConnection {
    /// The version of Redis whose replies these are; clients choose features by it.
    static let redisVersion = "7.0.15"

    static let wrongPassword = "WRONGPASS invalid username-password pair or user is disabled."

    /// HELLO [version [AUTH user password] [SETNAME name]]
    func hello() {
        var version = session.version
        if arguments.count >= 2 {
            guard let number = arguments.integer(at: 1) else {
                return fail("ERR Protocol version is not an integer or out of range")
            }
            guard let known = ProtocolVersion(rawValue: number) else {
                return fail("NOPROTO unsupported protocol version")
            }
            version = known
        }
        var credentials: (name: String, password: String)?
        var name: String?
        var index = 2
        while index < arguments.count {
            if arguments.matches("auth", at: index), index + 2 < arguments.count {
                credentials = (arguments.text(at: index + 1), arguments.text(at: index + 2))
                index += 3
            } else if arguments.matches("setname", at: index), index + 1 < arguments.count {
                guard Self.isConnectionName(arguments.bytes(at: index + 1)) else {
                    return fail(Self.connectionNameRule)
                }
                name = arguments.text(at: index + 1)
                index += 2
            } else {
                return fail("ERR Syntax error in HELLO option '\(arguments.text(at: index))'")
            }
        }
        guard let credentials else { return greet(version, name) }
        authenticate(credentials.name, credentials.password) { $0.greet(version, name) }
    }

    private func greet(_ version: ProtocolVersion, _ name: String?) {
        guard session.user != nil else {
            return fail(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH"
                    + " <user> <pass> option can be used to authenticate the client and select the RESP protocol"
                    + " version at the same time"
            )
        }
        session.version = version
        session.saidHello = true
        reply.version = version
        if let name { session.name = name }
        updateRecord()
        reply.map(7)
        reply.bulk("server")
        reply.bulk("redis")
        reply.bulk("version")
        reply.bulk(Self.redisVersion)
        reply.bulk("proto")
        reply.integer(version.rawValue)
        reply.bulk("id")
        reply.integer(Int(clamping: record.id))
        reply.bulk("mode")
        reply.bulk(services.cluster == nil ? "standalone" : "cluster")
        reply.bulk("role")
        reply.bulk("master")
        reply.bulk("modules")
        reply.array(0)
    }

    /// AUTH [user] password
    func auth() {
        guard arguments.count <= 3 else { return fail(Self.syntaxError) }
        let hasName = arguments.count == 3
        if !hasName, services.authenticator == nil {
            return fail(
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your"
                    + " configuration is correct?"
            )
        }
        authenticate(
            hasName ? arguments.text(at: 1) : "default",
            arguments.text(at: hasName ? 2 : 1)
        ) { $0.reply.simple("OK") }
    }

    /// Checks a name and password, off the loop when that is slow, and answers a failure itself.
    private func authenticate(
        _ name: String,
        _ password: String,
        _ accepted: @escaping (RedisConnection) -> Void
    ) {
        guard let authenticator = services.authenticator else {
            // Without users the default user takes any password, as Redis's does with nopass.
            guard name == "default" else { return fail(Self.wrongPassword) }
            return accepted(self)
        }
        let completion = later { (connection: RedisConnection, outcome: Authenticator.Outcome) in
            switch outcome {
            case .accepted(let user):
                connection.session.user = user
                connection.lastSpace = nil
                connection.parser.isAuthenticated = true
                connection.updateRecord()
                accepted(connection)
            case .refused(let delayFactor): connection.refuseAuthentication(delayFactor: delayFactor)
            case .overloaded: connection.fail("TRYAGAIN too many authentications are under way")
            }
        }
        let sender = Authenticator.Sender(
            address: record.address,
            hasFailed: session.failedAuthenticationCount > 0
        )
        authenticator.check(name, password, from: sender, completion)
    }

    /// Counts a failed attempt and answers it after a while; too many end the connection.
    private func refuseAuthentication(delayFactor: Int) {
        counters.authenticationFailures.add()
        session.failedAuthenticationCount += 1
        let isLast = session.failedAuthenticationCount >= limits.authenticationFailureCountMax
        let completion = later { (connection: RedisConnection, _: Void) in
            connection.fail(Self.wrongPassword)
            if isLast { connection.closeAfterReplies() }
        }
        let delay = Int64(limits.authenticationFailureDelay.inSeconds * 1e9) * Int64(delayFactor)
        transport?.eventLoop.scheduleTask(in: .nanoseconds(delay)) { completion(()) }
    }

    /// SELECT index
    func select() {
        guard let index = arguments.integer(at: 1) else { return fail(Self.notAnInteger) }
        guard (0..<Self.databaseCount).contains(index) else { return fail("ERR DB index is out of range") }
        session.database = index
        updateRecord()
        reply.simple("OK")
    }

    /// PING [message]
    func ping() {
        switch arguments.count {
        case 1: reply.simple("PONG")
        case 2: answer(at: 1)
        default: fail(Self.wrongArgumentCount("ping"))
        }
    }

    /// ECHO message
    func echo() {
        answer(at: 1)
    }

    private func answer(at index: Int) {
        guard arguments.payloadByteCount(at: index) == nil else {
            return fail("ERR this node echoes at most \(limits.request.smallByteCountMax) bytes")
        }
        reply.bulk(bytes: arguments.bytes(at: index))
    }

    /// QUIT
    func quit() {
        reply.simple("OK")
        closeAfterReplies()
    }

    /// RESET
    func reset() {
        // Failures are the connection's: a session that begins anew has no more guesses.
        let failedAuthenticationCount = session.failedAuthenticationCount
        session = Session()
        session.failedAuthenticationCount = failedAuthenticationCount
        if services.authenticator == nil { session.user = .anybody }
        parser.isAuthenticated = session.user != nil
        reply.version = .two
        lastSpace = nil
        store.releaseAll(owner: LeaseOwner(connectionID: record.id))
        updateRecord()
        reply.simple("RESET")
    }

    /// Tells CLIENT LIST what changed.
    func updateRecord() {
        let session = session
        record.state.withLock { state in
            state.name = session.name
            state.user = session.user?.name ?? ""
            state.tenant = session.user?.tenant.name ?? ""
            state.database = session.database
            state.version = session.version.rawValue
            state.libraryName = session.libraryName
            state.libraryVersion = session.libraryVersion
        }
    }
}
