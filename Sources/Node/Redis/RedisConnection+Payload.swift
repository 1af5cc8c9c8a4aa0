internal import Blocks
internal import MemoryTier
internal import RESP
internal import Tiering

extension RedisConnection {
    /// A payload is announced: takes a place for it, waiting for one if need be, or decides to drop it.
    func beginPayload(_ index: Int, _ byteCount: Int) {
        intake = nil
        guard let specification = CommandTable.find(arguments[0]), let user = session.user,
            specification.scope.map(user.may) ?? true
        else {
            fates[index] = .discarded
            return
        }
        switch PayloadPlan.plan(specification.command, arguments, index: index) {
        case .discard:
            fates[index] = .discarded
        case .value(let keyIndex):
            takePlace(for: index, byteCount, key: keyIndex, in: databaseSpace(of: user), until: nil)
        case .block(let keyIndex):
            guard let put = beginPut(user) else {
                fates[index] = .discarded
                return
            }
            guard put.isBlock(payloadIndex: index) else {
                fates[index] = .discarded
                return
            }
            takePlace(for: index, byteCount, key: keyIndex, in: put.space, until: nil)
        }
    }

    /// All bytes of a payload are there.
    func endPayload(_ index: Int) {
        guard let intake else { return }
        self.intake = nil
        endReceiving()
        if let put, put.isBlock(payloadIndex: index) {
            commitBlock(payloadIndex: index, intake.received)
        } else {
            fates[index] = .held(intake.received)
        }
    }

    /// The tenant's share of what payloads may hold while they are received.
    private func takeShare(_ byteCount: Int, of tenant: Tenant) throws(CacheError) {
        endReceiving()
        guard services.receiving.begin(byteCount, of: tenant, isAlone: services.tenants.count <= 1) else {
            throw CacheError(
                .overloaded,
                "payloads of this tenant that are being received hold their share of the memory tier; try again"
            )
        }
        receivingTenant = tenant
        receivingByteCount = byteCount
    }

    /// The payload under way is whole, or will not come.
    func endReceiving() {
        guard let tenant = receivingTenant else { return }
        receivingTenant = nil
        services.receiving.end(receivingByteCount, of: tenant)
    }

    private func takePlace(
        for index: Int,
        _ byteCount: Int,
        key keyIndex: Int,
        in space: KeySpace,
        until deadline: UInt64?
    ) {
        do {
            try takeShare(byteCount, of: space.tenant)
            let reservation = try store.reserve(
                space,
                key: arguments.key(at: keyIndex),
                payloadByteCount: byteCount
            )
            intake = PayloadIntake(reservation)
        } catch {
            endReceiving()
            var deadline = deadline
            guard error.isWorthWaiting, hasSpaceTime(&deadline) else {
                store.countRefusal(error)
                fates[index] = .refused(error)
                return
            }
            let resume = laterInside { (connection: RedisConnection, _: Void) in
                connection.takePlace(for: index, byteCount, key: keyIndex, in: space, until: deadline)
            }
            store.whenSpaceFrees { resume(()) }
        }
    }
}
