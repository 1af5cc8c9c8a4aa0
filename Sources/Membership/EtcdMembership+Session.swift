internal import Blocks
internal import GRPCCore
internal import Logging
internal import Placement
internal import Synchronization

/// One connection's life: log in, read all, register, watch, and tell etcd that the node lives.
extension EtcdMembership {
    /// Returns when the node has left; throws when the connection is of no use any more.
    func session(_ endpoint: EtcdEndpoint) async throws {
        let connection = try EtcdConnection(endpoint, configuration)
        defer { connection.close() }
        if try await !connection.login() {
            warnOnce(
                "etcd asks for no password: everybody who reaches it can change members, namespaces and users"
            )
        }
        if state.withLock({ $0.leaves }) { return try await leave(connection) }
        let (wakes, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let snapshot = try await connection.snapshot(layout.ranges, countMax: EtcdLayout.keyCountMax)
        changeDirectory { directory, now in
            directory.synced(
                snapshot.records,
                cluster: snapshot.cluster,
                revision: snapshot.revision,
                at: now
            )
        }
        try await register(connection)
        begin(wake, endpoint)
        try await withThrowingTaskGroup { group in
            group.addTask {
                try await connection.watch(self.layout.range, from: snapshot.revision + 1) { events in
                    self.changeDirectory { directory, now in
                        directory.members.heard(at: now)
                        directory.apply(events, at: now)
                    }
                    // The own record may be among them.
                    wake.yield()
                    self.state.withLock { $0.news }?.yield()
                }
            }
            group.addTask {
                while true {
                    try await Task.sleep(for: self.configuration.beat)
                    wake.yield()
                }
            }
            group.addTask { try await self.tend(connection, wakes) }
            defer { group.cancelAll() }
            // The others end only by errors.
            try await group.next()
        }
    }

    /// Brings to etcd what it does not have yet, and tells it that the node lives, until the node has left.
    private func tend(_ connection: EtcdConnection, _ wakes: AsyncStream<Void>) async throws {
        var toldAt = ContinuousClock.now
        for await _ in wakes {
            if state.withLock({ $0.leaves }) { return try await leave(connection) }
            try await register(connection)
            try await share(connection)
            guard ContinuousClock.now - toldAt >= configuration.beat / 2 else { continue }
            toldAt = .now
            try await tellThatItLives(connection)
            changeDirectory { directory, now in
                directory.members.heard(at: now)
                directory.members.expire(at: now)
            }
            state.withLock { $0.news }?.yield()
        }
        throw CancellationError()
    }

    private func tellThatItLives(_ connection: EtcdConnection) async throws {
        let (lease, key) = state.withLock { state in
            (
                state.directory?.registration.lease ?? 0,
                state.directory.map { layout.key(of: $0.members.own.name) }
            )
        }
        guard let key else { return }
        if lease == 0 {
            // Another node has the name; whether it still does is also a sign of etcd's life.
            try await readOwnRecord(key, connection)
        } else if try await !connection.keep(lease) {
            changeDirectory { directory, _ in directory.registration.lease = 0 }
            try await register(connection)
        }
    }

    /// Puts the own record unless it is there.
    private func register(_ connection: EtcdConnection) async throws {
        // Each turn that does not end has learnt what others did meanwhile.
        for _ in 0..<8 {
            let plan = state.withLock { state in
                state.directory.map { directory in
                    let own = directory.members.own
                    let registration = directory.registration
                    let step = registration.step(state.ownBytes, own, isStart: !state.isStarted)
                    return (own: own, bytes: state.ownBytes, lease: registration.lease, step: step)
                }
            }
            guard let plan else { return }
            let key = layout.key(of: plan.own.name)
            switch plan.step {
            case .nothing: return
            case .taken(let other):
                let problem = taken(plan.own.name, by: other)
                guard state.withLock({ $0.isStarted }) else { throw problem }
                return warnOnce("this node is not registered", problem.message)
            case .put where plan.lease == 0:
                let lease = try await connection.grant(seconds: configuration.memberTTL.components.seconds)
                changeDirectory { directory, _ in directory.registration.lease = lease }
            case .put(let former):
                do {
                    let lease = plan.lease
                    if let now = try await connection.put(key, plan.bytes, lease: lease, ifRevisionIs: former)
                    {
                        stored(plan.bytes, plan.own, now, wasGone: former == 0)
                    } else {
                        try await readOwnRecord(key, connection)
                    }
                } catch let error as RPCError where error.code == .notFound {
                    changeDirectory { directory, _ in directory.registration.lease = 0 }
                }
            }
        }
        throw CacheError(.tierUnavailable, "others keep changing this node's record in etcd")
    }

    private func readOwnRecord(_ key: [UInt8], _ connection: EtcdConnection) async throws {
        let record = try await connection.record(key)
        changeDirectory { directory, _ in
            let found = record.map { record in
                Registration.Found(
                    bytes: record.value,
                    member: MemberRecord.member(directory.members.own.name, in: record.value),
                    lease: record.lease
                )
            }
            directory.registration.synced(found, revision: record?.revision ?? 0)
        }
    }

    private func stored(_ bytes: [UInt8], _ own: Member, _ revision: Int64, wasGone: Bool) {
        let isAgain = state.withLock { state in
            let isAgain = wasGone && state.directory?.registration.wasThere ?? false
            if isAgain { state.reregistrationCount += 1 }
            state.directory?.stored(bytes, own, revision: revision)
            return isAgain
        }
        if isAgain { logger.warning("etcd had lost this node's record; it is registered again") }
        guard wasGone else { return }
        state.withLock { state in
            state.hasLostPlace = true
            state.news?.yield()
        }
    }

    /// Puts namespaces that etcd does not have: some in each turn, so that the lease is kept meanwhile.
    private func share(_ connection: EtcdConnection) async throws {
        let missing = state.withLock { $0.directory?.shared.missing ?? [] }
        // In another order on each node: when etcd has lost them, all nodes put them.
        for description in missing.shuffled().prefix(Self.shareCountMax) {
            guard state.withLock({ $0.directory?.shared.isMissing(description.id) ?? false }) else {
                continue
            }
            // One that is there already was put by another node meanwhile.
            _ = try await connection.put(
                layout.key(of: description.id),
                description.canonicalBytes,
                ifRevisionIs: 0
            )
            changeDirectory { directory, _ in directory.shared.stored(description.id) }
        }
        if missing.count > Self.shareCountMax { state.withLock { $0.wake }?.yield() }
    }

    private func leave(_ connection: EtcdConnection) async throws {
        let lease = state.withLock { $0.directory?.registration.lease ?? 0 }
        if lease != 0 { try await connection.revoke(lease) }
        logger.info("this node has left the cluster")
    }

    private func taken(_ name: NodeName, by other: Member) -> CacheError {
        CacheError(
            .conflict,
            """
            the name \(name) is taken by a node at \(other.host):\(other.port); give this node another name, or wait \
            until that one has stopped and its time to live is over
            """
        )
    }

    private func begin(_ wake: AsyncStream<Void>.Continuation, _ endpoint: EtcdEndpoint) {
        let isBack = state.withLock { state in
            state.isConnected = true
            state.wake = wake
            state.loggedProblems = []
            state.news?.yield()
            return state.isStarted
        }
        // What has come meanwhile.
        wake.yield()
        logger.info("\(isBack ? "etcd is back" : "etcd was reached")", metadata: ["server": "\(endpoint)"])
    }

    /// Changes the directory, and warns of what was found in it.
    private func changeDirectory(_ change: (inout EtcdDirectory, ContinuousClock.Instant) -> Void) {
        let now = ContinuousClock.now
        let warnings: [String] = state.withLock { state in
            guard var directory = state.directory else { return [] }
            state.directory = nil
            change(&directory, now)
            let warnings = directory.takeWarnings()
            state.directory = directory
            state.heardAt = now
            return warnings
        }
        for warning in warnings { logger.warning("\(warning)") }
    }
}
