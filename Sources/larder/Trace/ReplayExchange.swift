internal import Blocks
internal import LarderClient

/// One request against the node, as an engine makes it: a match of the whole chain with a lease, a load of what is
/// held, a store of the rest.
struct ReplayExchange: Sendable {
    let client: LarderClient
    let namespace: NamespaceID
    let payloads: ReplayPayloads
    /// For how long what a match found stays readable.
    let lease: Duration

    /// Makes the request; `buffer` is used until the call returns.
    func perform(
        _ blocks: [UInt64],
        inputTokenCount: Int,
        _ buffer: ReplayBuffer
    ) async -> ReplayedRequest {
        var done = ReplayedRequest()
        done.blockCount = blocks.count
        done.inputTokenCount = inputTokenCount
        let keys = ReplayNamespace.keys(of: blocks[...])
        let start = BenchClock.now()
        let match = await client.match(namespace, keys: keys, lease: lease)
        done.matching = BenchClock.now() &- start
        done.matchedCount = match.matchedCount
        done.diskCount = match.tiers.count { $0 == .disk }
        await load(blocks[..<match.matchedCount], match, buffer, &done)
        if let lease = match.leaseID { await client.release(lease: lease) }
        done.hitTokenCount = min(done.hitCount * RecordedTrace.tokensPerBlock, inputTokenCount)
        await store(blocks[done.hitCount...], buffer, &done)
        return done
    }

    private func load(
        _ blocks: ArraySlice<UInt64>,
        _ match: PrefixMatch,
        _ buffer: ReplayBuffer,
        _ done: inout ReplayedRequest
    ) async {
        var rest = blocks
        while !rest.isEmpty {
            let piece = rest.prefix(buffer.count)
            rest = rest.dropFirst(piece.count)
            let keys = ReplayNamespace.keys(of: piece)
            let start = BenchClock.now()
            // SAFETY: nothing else uses the buffer, which outlives the call.
            let result = await unsafe client.load(
                namespace,
                keys: keys,
                lease: match.leaseID,
                into: buffer.regions(piece.count)
            )
            done.loading += BenchClock.now() &- start
            if done.hitCount == piece.startIndex { done.hitCount += result.loadedPrefixCount }
            done.loadedCount += result.loadedCount
            if let failed = result.isLoaded.firstIndex(of: false) {
                let place = piece.startIndex + failed
                done.failures.append(await sentence(about: blocks[place], match.tiers[place]))
            }
            prove(piece, result, buffer, &done)
        }
    }

    /// What the node says of a block that was matched and could not be loaded.
    private func sentence(about block: UInt64, _ tier: PrefixMatch.Tier) async -> String {
        let keys = ReplayNamespace.keys(of: [block])
        let explanation = try? await client.admin.explain(namespace, keys: keys).first
        return "block \(block), matched in \(tier.rawValue), could not be loaded; the node says: "
            + (explanation ?? "nothing")
    }

    private func prove(
        _ blocks: ArraySlice<UInt64>,
        _ result: LoadResult,
        _ buffer: ReplayBuffer,
        _ done: inout ReplayedRequest
    ) {
        for (index, block) in blocks.enumerated() where result.isLoaded[index] {
            // SAFETY: the payload arrived whole, and nobody writes the region now.
            let wrong = unsafe payloads.firstWrongByte(of: block, in: UnsafeRawBufferPointer(buffer[index]))
            guard let wrong else { continue }
            done.wrongPayloads.append(
                "block \(block) is not what was stored: byte \(wrong) of \(payloads.byteCount) is the first wrong one"
            )
        }
    }

    private func store(
        _ blocks: ArraySlice<UInt64>,
        _ buffer: ReplayBuffer,
        _ done: inout ReplayedRequest
    ) async {
        let options = StoreOptions(tokenCount: RecordedTrace.tokensPerBlock)
        var rest = blocks
        while !rest.isEmpty {
            let piece = rest.prefix(buffer.count)
            rest = rest.dropFirst(piece.count)
            let keys = ReplayNamespace.keys(of: piece)
            for (index, block) in piece.enumerated() { unsafe payloads.write(block, to: buffer[index]) }
            let start = BenchClock.now()
            // SAFETY: nothing else uses the buffer, which outlives the call.
            let outcomes = await unsafe client.store(
                namespace,
                keys: keys,
                payloads: buffer.regions(piece.count).map { UnsafeRawBufferPointer($0) },
                options: options
            )
            done.storing += BenchClock.now() &- start
            for outcome in outcomes {
                switch outcome {
                case .stored: done.storedCount += 1
                case .exists: done.existingCount += 1
                case .refused(let reason): done.refusals[reason, default: 0] += 1
                }
            }
        }
    }
}
