internal import Blocks
internal import RESP

extension NodeLink {
    func ping(_ effort: CallEffort) async throws(LarderClientError) {
        let reply = try await ask(Self.request("PING"), effort)
        guard reply.text == "PONG" else { throw Self.unexpected("PING", reply) }
    }

    func describe(
        _ description: NamespaceDescription,
        _ effort: CallEffort
    ) async throws(LarderClientError) -> NamespaceID {
        let reply = try await ask(Self.description(description.canonicalBytes), effort)
        guard reply.text?.lowercased() == description.id.description else {
            throw LarderClientError(.protocolViolation, "the node gives the namespace another name")
        }
        return description.id
    }

    private static func description(_ canonicalBytes: [UInt8]) -> EncodedRequest {
        var encoder = RequestEncoder()
        encoder.begin(argumentCount: 2)
        encoder.append("KV.DESCRIBE")
        encoder.append(canonicalBytes)
        return encoder.finish()
    }

    /// A node's limit bounds the keys of one request: those beyond it are not looked for.
    func match(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        lease: Duration?,
        prefetches: Bool,
        _ effort: CallEffort
    ) async throws(LarderClientError) -> PrefixMatch {
        guard !keys.isEmpty else { return .none }
        var options: [String] = []
        if let lease { options += ["LEASE", String(lease.wireMilliseconds)] }
        if prefetches { options.append("PREFETCH") }
        let asked = 0..<min(keys.count, Limits.batchKeyCountMax)
        let reply = try await ask(Self.request("KV.MATCH", namespace, options, keys, asked), effort)
        return try Self.match(reply, keyCount: asked.count)
    }

    /// Reads `[matched, lease or nothing, [tier, blocks, tier, blocks, ...]]`.
    static func match(_ reply: Reply, keyCount: Int) throws(LarderClientError) -> PrefixMatch {
        guard let parts = reply.elements, parts.count == 3,
            let matched = parts[0].integer, matched >= 0, matched <= keyCount,
            let tiers = parts[2].elements.flatMap({ tiers(of: $0, count: Int(matched)) })
        else { throw unexpected("KV.MATCH", reply) }
        let leaseID = parts[1].integer.flatMap { UInt64(exactly: $0) }
        guard leaseID != nil || parts[1] == .null else { throw unexpected("KV.MATCH", reply) }
        return PrefixMatch(tiers: tiers, leaseID: leaseID)
    }

    /// The tier of each of `count` blocks, from runs of neighbours; `nil` unless the runs have that many blocks.
    private static func tiers(of runs: [Reply], count: Int) -> [PrefixMatch.Tier]? {
        guard runs.count.isMultiple(of: 2) else { return nil }
        var tiers: [PrefixMatch.Tier] = []
        tiers.reserveCapacity(count)
        for index in stride(from: 0, to: runs.count, by: 2) {
            guard let blockCount = runs[index + 1].integer, blockCount > 0,
                blockCount <= Int64(count - tiers.count)
            else { return nil }
            let tier = runs[index].text.flatMap(PrefixMatch.Tier.init(rawValue:)) ?? .other
            tiers.append(contentsOf: repeatElement(tier, count: Int(blockCount)))
        }
        return tiers.count == count ? tiers : nil
    }

    func release(lease: UInt64, _ effort: CallEffort) async throws(LarderClientError) -> Bool {
        let reply = try await ask(Self.request("KV.RELEASE", String(lease)), effort)
        return reply.integer.map { $0 > 0 } ?? (reply.text == "OK")
    }

    func pin(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        timeToLive: Duration?,
        _ effort: CallEffort
    ) async throws(LarderClientError) -> Int {
        let options = timeToLive.map { ["TTL", String($0.wireMilliseconds)] } ?? []
        return try await countKeys("KV.PIN", namespace, options, keys, effort)
    }

    func unpin(_ namespace: NamespaceID, keys: KeyBatch, _ effort: CallEffort) async throws(LarderClientError)
        -> Int
    {
        try await countKeys("KV.UNPIN", namespace, [], keys, effort)
    }

    func prefetch(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        _ effort: CallEffort
    ) async throws(LarderClientError) -> Int {
        try await countKeys("KV.PREFETCH", namespace, [], keys, effort)
    }

    func delete(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        _ effort: CallEffort
    ) async throws(LarderClientError) -> Int {
        try await countKeys("KV.DEL", namespace, [], keys, effort)
    }

    func clear(_ namespace: NamespaceID, _ effort: CallEffort) async throws(LarderClientError) -> Int {
        let reply = try await ask(Self.request("KV.CLEAR", namespace.description), effort)
        return reply.integer.map { Int(clamping: $0) } ?? 0
    }

    func explain(
        _ namespace: NamespaceID,
        keys: KeyBatch,
        _ effort: CallEffort
    ) async throws(LarderClientError) -> [String] {
        var texts: [String] = []
        for reply in try await askInBatches("KV.EXPLAIN", namespace, [], keys, effort) {
            guard let elements = reply.elements else { throw Self.unexpected("KV.EXPLAIN", reply) }
            texts += elements.map { element in
                element.text ?? element.elements?.compactMap(\.text).joined(separator: ": ") ?? ""
            }
        }
        return texts
    }

    // MARK: Requests

    /// Asks a request of any number of keys, and adds up what it counted: a number, or a yes or no for each key.
    private func countKeys(
        _ name: String,
        _ namespace: NamespaceID,
        _ options: [String],
        _ keys: KeyBatch,
        _ effort: CallEffort
    ) async throws(LarderClientError) -> Int {
        var count = 0
        for reply in try await askInBatches(name, namespace, options, keys, effort) {
            guard let part = Self.count(reply), (0...keys.count - count).contains(part) else {
                throw Self.unexpected(name, reply)
            }
            count += part
        }
        return count
    }

    private static func count(_ reply: Reply) -> Int? {
        guard let elements = reply.elements else { return reply.integer.map { Int(clamping: $0) } }
        let flags = elements.map(\.integer)
        return flags.allSatisfy { $0 == 0 || $0 == 1 } ? flags.count { $0 == 1 } : nil
    }

    private func askInBatches(
        _ name: String,
        _ namespace: NamespaceID,
        _ options: [String],
        _ keys: KeyBatch,
        _ effort: CallEffort
    ) async throws(LarderClientError) -> [Reply] {
        guard !keys.isEmpty else { return [] }
        let parts = stride(from: 0, to: keys.count, by: Limits.batchKeyCountMax).map { start in
            let range = start..<min(start + Limits.batchKeyCountMax, keys.count)
            return (Self.request(name, namespace, options, keys, range), TreeReceiver())
        }
        let results = try await send(parts.map { Part(request: $0.0, receiver: $0.1) }, .lookup, effort)
        var replies: [Reply] = []
        for (result, (_, receiver)) in zip(results, parts) {
            try result.get()
            replies.append(try Self.answer(receiver.reply))
        }
        return replies
    }

    static func request(_ arguments: String...) -> EncodedRequest {
        var encoder = RequestEncoder()
        encoder.begin(argumentCount: arguments.count)
        for argument in arguments { encoder.append(argument) }
        return encoder.finish()
    }

    /// `NAME namespace options KEYS n key...`.
    static func request(
        _ name: String,
        _ namespace: NamespaceID,
        _ options: [String],
        _ keys: KeyBatch,
        _ range: Range<Int>
    ) -> EncodedRequest {
        var encoder = RequestEncoder()
        encoder.begin(argumentCount: 4 + options.count + range.count)
        encoder.append(name)
        encoder.append(namespace.description)
        for option in options { encoder.append(option) }
        encoder.append("KEYS")
        encoder.append(range.count)
        for index in range { encoder.append(keys[index]) }
        return encoder.finish()
    }

    static func unexpected(_ name: String, _ reply: Reply) -> LarderClientError {
        LarderClientError(.protocolViolation, "\(name) was answered by something else than it promises")
    }
}
