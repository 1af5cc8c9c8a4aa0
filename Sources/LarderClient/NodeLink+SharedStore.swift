internal import Blocks

/// Payloads into the node's own memory.
extension NodeLink {
    /// Stores of fewer bytes go through the socket: that is one round trip instead of two.
    private static let sharedStoreByteCountMin = 128 << 10

    /// A store by writing in place; `nil` when it is a small one, or no connection may write the node's memory.
    func storeShared(
        _ offer: Offer,
        _ sizes: [Int],
        _ effort: CallEffort
    ) async throws(LarderClientError) -> [StoreOutcome]? {
        guard sizes.reduce(0, { $0 + min($1, Self.sharedStoreByteCountMin) }) >= Self.sharedStoreByteCountMin
        else {
            return nil
        }
        let start = ContinuousClock.now
        var stores: [SharedStore] = []
        for range in PayloadBatches.cut(count: sizes.count, byteCount: { sizes[$0] }) {
            let connection = connection(.payload)
            guard let attachment = connection.attachment, attachment.arena.isWritable else { return nil }
            stores.append(
                SharedStore(offer, keys: range, over: connection, attachment, timeout: effort.timeout)
            )
        }
        for case .failure(let error) in try await send(stores.map(\.reservation), .payload, effort) {
            count(error)
        }
        await commit(stores, effort.remaining(since: start))
        statistics.count { $0.sharedStoreCount += 1 }
        let outcomes = stores.flatMap(\.outcomes)
        let rest = outcomes.indices.filter { outcomes[$0] == nil }
        guard !rest.isEmpty else { return outcomes.compactMap(\.self) }
        return try await storeRest(offer, sizes, rest, outcomes, effort.remaining(since: start))
    }

    private func commit(_ stores: [SharedStore], _ effort: CallEffort?) async {
        let commits = stores.compactMap { store in store.commit().map { (store, $0.part, $0.receiver) } }
        guard !commits.isEmpty else { return }
        do throws(LarderClientError) {
            guard let effort else { throw .timedOut }
            let results = try await send(commits.map(\.1), .payload, effort)
            for ((store, _, receiver), result) in zip(commits, results) {
                let placeCount = store.placeCount
                store.committed(outcome("KV.COMMIT", count: placeCount, result, receiver.reply))
                if case .failure = result { store.abort() }
            }
        } catch {
            count(error)
            for (store, _, _) in commits {
                store.committed(Array(repeating: .refused(error.code.description), count: store.placeCount))
                store.abort()
            }
        }
    }

    /// What the node gave no place for: through the socket it may wait for room.
    private func storeRest(
        _ offer: Offer,
        _ sizes: [Int],
        _ indices: [Int],
        _ outcomes: [StoreOutcome?],
        _ effort: CallEffort?
    ) async throws(LarderClientError) -> [StoreOutcome] {
        guard let effort else {
            return outcomes.map { $0 ?? .refused(LarderClientError.timedOut.code.description) }
        }
        var keys = KeyBatch()
        for index in indices { keys.append(offer.keys[index]) }
        let payloads = unsafe LentPayloads(indices.map { unsafe offer.payloads.buffers[$0] })
        let rest = try await storeBySocket(
            Offer(namespace: offer.namespace, keys: keys, payloads: payloads, options: offer.options),
            indices.map { sizes[$0] },
            effort
        )
        var whole = outcomes
        for (index, outcome) in zip(indices, rest) { whole[index] = outcome }
        return whole.map { $0 ?? .refused("no answer for this block") }
    }
}
