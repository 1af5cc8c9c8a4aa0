internal import Blocks
internal import RESP

/// How a call with many payloads is cut into requests, so that several connections share it and no reply is huge.
enum PayloadBatches {
    /// Most keys of one request.
    static let keyCountMax = 32
    /// Most payload bytes of one request that has more than one payload.
    static let byteCountMax = 16 << 20

    /// Ranges of keys in order; `byteCount` tells a payload's length, 0 when it is not known.
    static func cut(count: Int, byteCount: (Int) -> Int) -> [Range<Int>] {
        var batches: [Range<Int>] = []
        var start = 0
        var bytes = 0
        for index in 0..<max(0, count) {
            let next = byteCount(index)
            if index > start, index - start >= keyCountMax || bytes + next > byteCountMax {
                batches.append(start..<index)
                start = index
                bytes = 0
            }
            bytes += next
        }
        if start < count { batches.append(start..<count) }
        return batches
    }
}

extension NodeLink {
    func load(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        lease: UInt64?,
        into sink: any PayloadSink,
        _ effort: CallEffort
    ) async throws(LarderClientError) -> LoadResult {
        guard !keys.isEmpty else { return .none(count: 0) }
        let options = lease.map { ["LEASE", String($0)] } ?? []
        let regions = sink as? RegionSink
        let batches = PayloadBatches.cut(count: keys.count) { regions?.byteCount(forKeyAt: $0) ?? 0 }
        if let result = try await loadShared(namespace, keys: keys, batches, lease: lease, into: sink, effort)
        {
            return result
        }
        let receivers = batches.map { PayloadReceiver(sink, keys: $0) }
        let parts = zip(batches, receivers).map { range, receiver in
            Part(request: Self.request("KV.GET", namespace, options, keys, range), receiver: receiver)
        }
        let results = try await send(parts, .payload, effort)
        let byteCounts = receivers.flatMap(\.byteCounts)
        statistics.count { $0.loadedByteCount += byteCounts.reduce(0) { $0 + ($1 ?? 0) } }
        if let error = firstError(results, receivers.map(\.failure)) {
            // What came before the failure is whole and stays; nothing at all is the failure itself.
            guard byteCounts.contains(where: { $0 != nil }) else { throw error }
            count(error)
        }
        return LoadResult(isLoaded: byteCounts.map { $0 != nil })
    }

    func store(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        payloads: LentPayloads,
        _ options: StoreOptions,
        _ effort: CallEffort
    ) async throws(LarderClientError) -> [StoreOutcome] {
        let sizes = unsafe payloads.buffers.map { $0.count }
        guard sizes.count == keys.count else {
            throw LarderClientError(.invalidArgument, "\(keys.count) keys and \(sizes.count) payloads")
        }
        guard sizes.allSatisfy({ (1...Limits.payloadByteCountMax).contains($0) }) else {
            throw LarderClientError(
                .invalidArgument,
                "a payload has 1 to \(Limits.payloadByteCountMax) bytes"
            )
        }
        guard !keys.isEmpty else { return [] }
        let offer = Offer(namespace: namespace, keys: keys, payloads: payloads, options: options)
        let outcomes =
            if let shared = try await storeShared(offer, sizes, effort) { shared } else {
                try await storeBySocket(offer, sizes, effort)
            }
        let stored = zip(outcomes, sizes).reduce(0) { $0 + ($1.0 == .stored ? $1.1 : 0) }
        statistics.count { $0.storedByteCount += stored }
        return outcomes
    }

    /// What a store offers.
    struct Offer {
        let namespace: NamespaceID
        let keys: KeyBatch
        let payloads: LentPayloads
        let options: StoreOptions
    }

    /// A store whose payloads go through the socket.
    func storeBySocket(
        _ offer: Offer,
        _ sizes: [Int],
        _ effort: CallEffort
    ) async throws(LarderClientError) -> [StoreOutcome] {
        let batches = PayloadBatches.cut(count: sizes.count) { sizes[$0] }
        let receivers = batches.map { _ in TreeReceiver() }
        let parts = zip(batches, receivers).map { range, receiver in
            Part(request: Self.put(offer, range), receiver: receiver)
        }
        let results = try await send(parts, .payload, effort)
        var outcomes: [StoreOutcome] = []
        var failures: [LarderClientError] = []
        for ((range, receiver), result) in zip(zip(batches, receivers), results) {
            outcomes += outcome("KV.PUT", count: range.count, result, receiver.reply) { failures.append($0) }
        }
        // A tool is told why nothing was answered; an engine gets refusals.
        if !effort.asksBreaker, failures.count == batches.count, let failure = failures.first {
            throw failure
        }
        return outcomes
    }

    /// `KV.PUT namespace options BLOCKS n key payload ...`.
    private static func put(_ offer: Offer, _ range: Range<Int>) -> EncodedRequest {
        var encoder = RequestEncoder()
        offer.begin("KV.PUT", range, in: &encoder)
        for index in range {
            encoder.append(offer.keys[index])
            // SAFETY: the caller of the store lends the payloads until it returns, and that is after the last request.
            unsafe encoder.append(payload: offer.payloads.buffers[index])
        }
        return encoder.finish()
    }

    /// What became of each of `count` blocks; `failed` is called when the request was not answered block by block.
    func outcome(
        _ name: String,
        count blockCount: Int,
        _ result: Result<Void, LarderClientError>,
        _ reply: Reply?,
        failed: (LarderClientError) -> Void = { _ in }
    ) -> [StoreOutcome] {
        do throws(LarderClientError) {
            try result.get()
            let reply = try Self.answer(reply)
            guard let elements = reply.elements, elements.count == blockCount else {
                throw Self.unexpected(name, reply)
            }
            return elements.map(Self.outcome)
        } catch {
            count(error)
            failed(error)
            return Array(repeating: .refused(error.code.description), count: blockCount)
        }
    }

    /// Reads `stored`, `exists` or `refused reason`.
    static func outcome(_ reply: Reply) -> StoreOutcome {
        if case .failure(let failure) = reply { return .refused(failure.text) }
        switch reply.text {
        case "stored"?: return .stored
        case "exists"?: return .exists
        case let text? where text.hasPrefix("refused "): return .refused(String(text.dropFirst(8)))
        case let text?: return .refused(text)
        case nil: return .refused("no answer for this block")
        }
    }

    private func firstError(
        _ results: [Result<Void, LarderClientError>],
        _ failures: [ReplyFailure?]
    ) -> LarderClientError? {
        for (result, failure) in zip(results, failures) {
            if case .failure(let error) = result { return error }
            if let failure { return Self.error(failure) }
        }
        return nil
    }
}

extension NodeLink.Offer {
    /// Begins `NAME namespace options BLOCKS n`, to be followed by two arguments for each block of `range`.
    func begin(_ name: String, _ range: Range<Int>, in encoder: inout RequestEncoder) {
        var words: [String] = []
        if let timeToLive = options.timeToLive { words += ["TTL", String(timeToLive.wireMilliseconds)] }
        if options.tokenCount > 0 { words += ["TOKENS", String(options.tokenCount)] }
        if options.isPinned { words.append("PIN") }
        if options.isDurable { words.append("DURABLE") }
        encoder.begin(argumentCount: 4 + words.count + 2 * range.count)
        encoder.append(name)
        encoder.append(namespace.description)
        for word in words { encoder.append(word) }
        encoder.append("BLOCKS")
        encoder.append(range.count)
    }
}
