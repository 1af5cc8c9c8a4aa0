internal import Blocks

/// Answers requests with an engine and a cache of blocks: takes the leading blocks that the cache holds, computes the
/// rest, generates, and gives new blocks back.
package final class RequestRunner {
    /// Memory lent to one transfer, bytes, unless a single block is larger.
    static let transferByteCountMax = 16 << 20

    private let engine: Engine
    private let exchange: any BlockExchange
    private let clock = ContinuousClock()
    private let buffer: BlockBuffer

    /// Takes memory for transfers.
    package init(_ engine: Engine, exchange: any BlockExchange) {
        self.engine = engine
        self.exchange = exchange
        let blockByteCount = engine.layout.blockByteCount
        buffer = BlockBuffer(
            blockCount: min(Limits.batchBlockCountMax, max(1, Self.transferByteCountMax / blockByteCount)),
            blockByteCount: blockByteCount
        )
    }

    /// Answers one request.
    ///
    /// Whatever the cache does, the outcome's digest and tokens are those of computing everything here.
    ///
    /// - Parameters:
    ///   - prompt: at least one token.
    ///   - options: how to answer.
    /// - Throws: what `EngineSequence.append` throws.
    package func run(_ prompt: [UInt32], _ options: RequestOptions) async throws(EngineError) -> RequestOutcome {
        var outcome = RequestOutcome()
        outcome.promptTokenCount = prompt.count
        let start = clock.now
        var chain = try blockChain(options)
        var digests = chain.append(prompt)
        let sequence = engine.makeSequence()
        if options.reuses {
            // The last token is always computed: its logits are in no block.
            let usableCount = max(0, prompt.count - 1) / engine.layout.tokensPerBlock
            try await reuse(digests.prefix(usableCount), in: sequence, &outcome)
        }
        outcome.cacheTime = clock.now - start
        let logits = try sequence.append(prompt.dropFirst(sequence.tokenCount))
        outcome.timeToFirstToken = clock.now - start
        outcome.logitsDigest = logits.digest

        outcome.newTokens = try generate(behind: logits, in: sequence, options)
        if options.stores {
            digests += chain.append(outcome.newTokens)
            let reusedCount = outcome.reusedTokenCount / engine.layout.tokensPerBlock
            outcome.stored = try await store(digests, reusedCount..<sequence.blockCount, of: sequence)
        }
        outcome.totalTime = clock.now - start
        return outcome
    }

    private func blockChain(_ options: RequestOptions) throws(EngineError) -> ChainedBlockHasher {
        do {
            return try ChainedBlockHasher(
                tokensPerBlock: engine.layout.tokensPerBlock,
                context: PromptContext(cacheSalt: options.cacheSalt)
            )
        } catch {
            throw EngineError(.invalidConfiguration, error.message)
        }
    }

    /// Imports the leading blocks that the cache holds and delivers.
    private func reuse(
        _ digests: ArraySlice<BlockDigest>,
        in sequence: EngineSequence,
        _ outcome: inout RequestOutcome
    ) async throws(EngineError) {
        guard !digests.isEmpty else { return }
        let match = await exchange.match(KeyBatch(digests.prefix(Limits.batchKeyCountMax).map(\.key)))
        let heldCount = min(match.tiers.count, digests.count)
        var index = 0
        while index < heldCount {
            let wantedCount = min(buffer.blockCount, heldCount - index)
            let keys = KeyBatch(digests.dropFirst(index).prefix(wantedCount).map(\.key))
            let loadedCount = min(wantedCount, await exchange.load(keys, lease: match.lease, into: buffer))
            guard loadedCount > 0 else { break }
            // SAFETY: the load has ended, and nothing else writes to the buffer.
            try unsafe sequence.importBlocks(UnsafeRawBufferPointer(buffer.blocks(0..<loadedCount)))
            for tier in match.tiers[index..<index + loadedCount] { count(tier, in: &outcome) }
            index += loadedCount
            guard loadedCount == wantedCount else { break }
        }
        if let lease = match.lease { await exchange.release(lease) }
    }

    private func count(_ tier: BlockMatch.Tier, in outcome: inout RequestOutcome) {
        let tokenCount = engine.layout.tokensPerBlock
        switch tier {
        case .memory: outcome.memoryTokenCount += tokenCount
        case .disk: outcome.diskTokenCount += tokenCount
        case .other: outcome.otherTokenCount += tokenCount
        }
    }

    private func generate(
        behind logits: Logits,
        in sequence: EngineSequence,
        _ options: RequestOptions
    ) throws(EngineError) -> [UInt32] {
        let configuration = engine.model.configuration
        var sampler = Sampler(options.sampling)
        var logits = logits
        var tokens: [UInt32] = []
        while tokens.count < options.newTokenCountMax {
            let token = sampler.next(logits)
            guard !configuration.endTokens.contains(token) else { break }
            tokens.append(token)
            let hasRoom = sequence.tokenCount < configuration.contextTokenCountMax
            guard tokens.count < options.newTokenCountMax, hasRoom else { break }
            logits = try sequence.append([token])
        }
        return tokens
    }

    /// Offers blocks of a sequence to the cache.
    private func store(
        _ digests: [BlockDigest],
        _ range: Range<Int>,
        of sequence: EngineSequence
    ) async throws(EngineError) -> StoreCount {
        var count = StoreCount()
        for start in stride(from: range.lowerBound, to: range.upperBound, by: buffer.blockCount) {
            let end = min(range.upperBound, start + buffer.blockCount)
            for index in start..<end { try unsafe sequence.exportBlock(index, into: buffer[index - start]) }
            let keys = KeyBatch(digests[start..<end].map(\.key))
            count += await exchange.store(keys, from: buffer, tokenCount: engine.layout.tokensPerBlock)
        }
        return count
    }
}
