internal import Blocks
internal import Glibc
internal import MemoryTier
internal import NIOCore
internal import RESP
internal import Tiering

/// Blocks that a client on the same host reads and writes in place.
///
/// All that a client holds is bounded by its connection: when that ends, loans and places are given back, and what was
/// not committed was never visible. The kernel keeps an attached client from writing, unless the node shares writes.
extension RedisConnection {
    /// What KV.ATTACH's offsets and replies mean; a client that does not know the number uses no shared memory.
    private static let sharedMemoryVersion = 1

    /// KV.ATTACH [WRITE | ANY]: [version, bytes of the arena, 1 if writable], with the arena's descriptor attached; ANY is to
    /// write where that is allowed, else to read.
    func attach() {
        let takesAny = arguments.count == 2 && arguments.matches("any", at: 1)
        let needsWrites = arguments.count == 2 && arguments.matches("write", at: 1)
        guard arguments.count == 1 || takesAny || needsWrites else {
            return fail("ERR syntax error: the form is KV.ATTACH [WRITE | ANY]")
        }
        guard let transport, transport.isUnixSocket else {
            return fail(
                "ERR KV.ATTACH works on a Unix socket only: start the node with --unix and connect to that"
            )
        }
        guard mayShareMemory() else { return }
        let arena = store.arena
        guard !needsWrites || arena.sharesWrites else {
            return fail("NOPERM this node shares its memory for reading only: see --shared-writes")
        }
        let mayWrite = session.user?.may(.write) == true
        guard !needsWrites || mayWrite else {
            return fail("NOPERM this user may not write")
        }
        let isWritable = needsWrites || takesAny && arena.sharesWrites && mayWrite
        let descriptor: CInt
        do {
            descriptor = try arena.openForSharing(writable: isWritable)
        } catch {
            return fail(error)
        }
        var answer = ReplyEncoder()
        answer.array(3)
        answer.integer(Self.sharedMemoryVersion)
        answer.integer(arena.byteCount)
        answer.integer(isWritable ? 1 : 0)
        deliver()
        let goOn = later { (connection: RedisConnection, isSent: Bool) in
            if !isSent { connection.closeNow() }
        }
        transport.send(answer.buffer, passing: descriptor) { isSent in
            // Here, not in what goes on: a connection that has ended does not go on.
            close(descriptor)
            goOn(isSent)
        }
    }

    /// KV.BORROW ns KEYS n key ...: [loan or nil, [[offset, bytes, XXH3 of the bytes], `held` or nil ...]]; what is held
    /// and not lent, because leases hold half of the memory already, KV.GET gives.
    func borrow(_ request: BlockRequest, _ space: KeySpace) {
        guard isAttachable else { return }
        // Lent on the connection's loop and only while it is there: its end gives back what was lent before.
        let completion = later { (connection: RedisConnection, leases: [BlockLease?]) in
            connection.answer(connection.store.lend(leases, to: connection.owner))
        }
        store.load(space, keys: keys(of: request), provesChecksum: false, completion)
    }

    private func answer(_ loan: BlockStore.Loan) {
        reply.array(2)
        if let id = loan.leaseID { reply.integer(Int(clamping: id)) } else { reply.null() }
        reply.array(loan.blocks.count)
        for (index, block) in loan.blocks.enumerated() {
            guard let block else {
                if loan.heldIndices.contains(index) { reply.simple("held") } else { reply.null() }
                continue
            }
            reply.array(3)
            reply.integer(block.payloadOffset)
            reply.integer(block.payloadByteCount)
            reply.integer(Int(bitPattern: UInt(block.payloadChecksum)))
        }
    }

    /// KV.RESERVE ns [options] BLOCKS n key bytes ...: for each [place, offset], `exists`, or `refused reason`
    func reserve(_ request: BlockRequest, _ space: KeySpace) {
        guard isAttachable else { return }
        guard store.arena.sharesWrites else {
            return fail("NOPERM this node shares its memory for reading only: see --shared-writes")
        }
        let options = PutOptions(request, now: store.clock.unixMilliseconds())
        reply.array(request.count)
        for index in stride(from: request.first, to: arguments.count, by: 2) {
            let isFirst = index == request.first
            reserve(
                keyIndex: index,
                space,
                self.options(options, keyIndex: index, isFirst: isFirst, in: space)
            )
        }
    }

    private func reserve(keyIndex: Int, _ space: KeySpace, _ options: PutOptions) {
        let key = arguments.key(at: keyIndex)
        guard store.summary(space, key: key) == nil else { return reply.simple("exists") }
        do throws(CacheError) {
            guard let byteCount = arguments.integer(at: keyIndex + 1) else {
                throw CacheError(.invalidArgument, "a block's length is a number of bytes")
            }
            try checkReservable(byteCount)
            let reservation = try store.reserve(space, key: key, payloadByteCount: byteCount)
            services.reservedByteCount.add(byteCount)
            let offset = reservation.payloadOffset
            let id = reservations.add(.init(reservation: reservation, space: space, options: options))
            reply.array(2)
            reply.integer(Int(clamping: id))
            reply.integer(offset)
        } catch {
            store.countRefusal(error)
            reply.simple(text: PutOutcome.refused(error).replyText)
        }
    }

    private func checkReservable(_ byteCount: Int) throws(CacheError) {
        guard reservations.count < limits.reservationCountMax else {
            throw CacheError(
                .overloaded,
                "\(limits.reservationCountMax) places are reserved: commit or abort some"
            )
        }
        let byteCountMax = Int(Double(store.arena.byteCount) * limits.reservedShareMax)
        guard byteCount <= byteCountMax - min(byteCountMax, services.reservedByteCount.value) else {
            throw CacheError(
                .overloaded,
                "clients hold \(services.reservedByteCount.value) bytes of at most \(byteCountMax) to write in place"
            )
        }
    }

    /// KV.COMMIT place XXH3 ...: what became of each block
    ///
    /// The client says what the bytes must hash to: another that may write, and does not know yet that a place is no
    /// longer its own, could have written here meanwhile.
    func commitReserved() {
        guard arguments.count.isMultiple(of: 2) == false else {
            return fail("ERR syntax error: the form is KV.COMMIT place XXH3 [place XXH3 ...]")
        }
        var outcomes: [PutOutcome?] = []
        var tickets: [(block: Int, ticket: DurabilityTicket)] = []
        for index in stride(from: 1, to: arguments.count, by: 2) {
            guard let held = takeReserved(at: index) else {
                outcomes.append(.refused(CacheError(.invalidArgument, "no place of that number is reserved")))
                continue
            }
            let checksum = unsafe PayloadChecksum.of(UnsafeRawBufferPointer(held.reservation.payload))
            guard arguments.integer(at: index + 1) == Int(bitPattern: UInt(checksum)) else {
                outcomes.append(
                    .refused(CacheError(.invalidArgument, "the place has other bytes than announced"))
                )
                continue
            }
            let result = store.commit(
                held.reservation,
                in: held.space,
                held.options,
                payloadChecksum: checksum
            )
            if let ticket = result.durability { tickets.append((outcomes.count, ticket)) }
            outcomes.append(result.outcome)
        }
        guard !tickets.isEmpty else { return answer(outcomes) }
        let committed = outcomes
        whenDurable(tickets) { connection, failures in
            connection.answer(committed.enumerated().map { failures[$0.offset] ?? $0.element })
        }
    }

    /// KV.ABORT place ...: the number of places given back
    func abortReserved() {
        reply.integer((1..<arguments.count).count { takeReserved(at: $0) != nil })
    }

    private func takeReserved(at index: Int) -> HeldReservations.Held? {
        guard let id = arguments.integer(at: index), id > 0, let held = reservations.remove(UInt64(id)) else {
            return nil
        }
        services.reservedByteCount.add(-held.reservation.payloadByteCount)
        return held
    }

    private var isAttachable: Bool {
        guard let transport, transport.isUnixSocket else {
            fail("ERR shared memory is for clients on a Unix socket: KV.ATTACH there first")
            return false
        }
        return mayShareMemory()
    }

    /// Whether the arena is, or can be, shared with this user's tenant; answers the request where not.
    ///
    /// Users of several tenants are a reason of their own, so that one of them cannot keep the others out by being first.
    private func mayShareMemory() -> Bool {
        guard let tenant = session.user?.tenant else {
            fail("NOAUTH Authentication required.")
            return false
        }
        guard services.tenants.subtracting([tenant]).isEmpty else {
            fail("NOPERM this node has users of several tenants, so its memory is not shared")
            return false
        }
        guard store.shareArena(with: tenant) else {
            fail(
                "NOPERM this node's memory holds or has held blocks of another tenant and is not shared: to share it, stop the "
                    + "node, remove its memory file ('larder memory remove') and start it with users of one tenant"
            )
            return false
        }
        return true
    }
}
