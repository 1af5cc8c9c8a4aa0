internal import Blocks
internal import RESP

/// Payloads from the node's own memory.
extension NodeLink {
    /// A load by borrowing; `nil` when no connection has been given the node's memory.
    func loadShared(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        _ batches: [Range<Int>],
        lease: UInt64?,
        into sink: any PayloadSink,
        _ effort: CallEffort
    ) async throws(LarderClientError) -> LoadResult? {
        let start = ContinuousClock.now
        var loads: [SharedLoad] = []
        for range in batches {
            let connection = connection(.payload)
            guard let attachment = connection.attachment else { return nil }
            loads.append(
                SharedLoad(sink, keys: range, over: connection, attachment, timeout: effort.timeout)
            )
        }
        let parts = zip(loads, batches).map { load, range in
            load.part(Self.request("KV.BORROW", namespace, [], keys, range))
        }
        let results = try await send(parts, .payload, effort)
        var byteCounts = loads.flatMap(\.byteCounts)
        let heldIndices = loads.flatMap(\.heldIndices)
        if !heldIndices.isEmpty, let effort = effort.remaining(since: start) {
            let rest = try await loadHeld(
                namespace,
                keys: keys,
                heldIndices,
                lease: lease,
                into: sink,
                effort
            )
            for (index, byteCount) in zip(heldIndices, rest) { byteCounts[index] = byteCount }
        }
        let damagedCount = loads.reduce(0) { $0 + $1.damagedCount }
        let loadedByteCount = byteCounts.reduce(0) { $0 + ($1 ?? 0) }
        statistics.count { figures in
            figures.loadedByteCount += loadedByteCount
            figures.sharedLoadCount += 1
            figures.damagedPayloadCount += damagedCount
        }
        for case .failure(let error) in results {
            guard byteCounts.contains(where: { $0 != nil }) else { throw error }
            count(error)
        }
        return LoadResult(isLoaded: byteCounts.map { $0 != nil })
    }

    /// What the node has and did not lend, by its socket.
    private func loadHeld(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        _ indices: [Int],
        lease: UInt64?,
        into sink: any PayloadSink,
        _ effort: CallEffort
    ) async throws(LarderClientError) -> [Int?] {
        var held = KeyBatch()
        for index in indices { held.append(keys[index]) }
        let options = lease.map { ["LEASE", String($0)] } ?? []
        let chosen = ChosenSink(sink, indices: indices)
        let batches = PayloadBatches.cut(count: held.count) { _ in 0 }
        let receivers = batches.map { PayloadReceiver(chosen, keys: $0) }
        let parts = zip(batches, receivers).map { range, receiver in
            Part(request: Self.request("KV.GET", namespace, options, held, range), receiver: receiver)
        }
        _ = try await send(parts, .payload, effort)
        return receivers.flatMap(\.byteCounts)
    }

    /// Borrows blocks to be read in place; throws `.unavailable` where the node's memory is not shared with us.
    func borrow(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        _ effort: CallEffort
    ) async throws(LarderClientError) -> BorrowedBlocks {
        let connection = connection(.payload)
        guard let attachment = connection.attachment else {
            // The first call on a connection makes it; what is asked for then is on its way.
            try await ping(effort, over: connection)
            guard connection.attachment != nil else {
                throw LarderClientError(
                    .answeredWithError,
                    "the node does not share its memory with this process: connect to its Unix socket"
                )
            }
            return try await borrow(namespace, keys: keys, effort)
        }
        let timeout = configuration.lookupTimeout
        let receiver = GrantReceiver { [connection] in connection.giveBack(Loan(late: $0), timeout: timeout) }
        let asked = 0..<min(keys.count, Limits.batchKeyCountMax)
        let part = Part(
            request: Self.request("KV.BORROW", namespace, [], keys, asked),
            receiver: receiver,
            connection: connection
        )
        try await send([part], .payload, effort)[0].get()
        let reply = try Self.answer(receiver.reply)
        guard let loan = Loan(reply, keyCount: asked.count) else { throw Self.unexpected("KV.BORROW", reply) }
        return BorrowedBlocks(loan, of: attachment, over: connection, timeout: timeout)
    }

    private func ping(_ effort: CallEffort, over connection: Connection) async throws(LarderClientError) {
        let part = Part(request: Self.request("PING"), receiver: TreeReceiver(), connection: connection)
        try await send([part], .payload, effort)[0].get()
    }
}

/// Some of the keys of a load, numbered anew.
private final class ChosenSink: PayloadSink {
    private let sink: any PayloadSink
    private let indices: [Int]

    init(_ sink: any PayloadSink, indices: [Int]) {
        self.sink = sink
        self.indices = indices
    }

    func region(forKeyAt index: Int, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        guard indices.indices.contains(index) else { return nil }
        return unsafe sink.region(forKeyAt: indices[index], byteCount: byteCount)
    }
}
