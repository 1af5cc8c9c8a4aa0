internal import Blocks
internal import RESP

/// One operation ready to be sent: its bytes, and what its replies must be.
struct BenchRequest: Sendable {
    /// What one reply is checked against.
    enum Expectation: Hashable, Sendable {
        /// `+OK`, or the key found behind a put that has no reply of its own.
        case stored
        /// The payload of the first key and, for batches, of the next ones in order.
        case payloads
        /// 1 for each key.
        case present
        /// All keys matched.
        case matched
        /// `stored` or `exists` for each block.
        case blocks
        /// Anything but an error.
        case anything
    }

    let message: BenchMessage
    let expectation: Expectation
    /// The keys that it has, by their number.
    let keys: Range<Int>
    /// Top-level replies that complete it.
    let replyCount: Int

    init(_ message: BenchMessage, _ expectation: Expectation, keys: Range<Int>, replyCount: Int) {
        self.message = message
        self.expectation = expectation
        self.keys = keys
        self.replyCount = replyCount
    }
}

/// Writes the requests of a case.
///
/// Pure: the same numbers give the same bytes.
struct BenchWorkload: Sendable {
    var plan: BenchCase
    let payloads: BenchPayloads
    /// Names this run's keys and namespace, so that runs do not meet.
    let run: String
    var dialect = BenchDialect.resp

    /// Operations that differ; a repeated one has the same keys again.
    var distinctCount: Int { max(1, plan.keyCount / plan.batch) }

    /// The description of the namespace for a node's own verbs.
    var description: String { #"{"engine":"larder-bench","model":"bench","revision":"\#(run)"}"# }

    /// The namespace's name; `nil` never happens for the description above.
    var namespace: NamespaceID? { try? NamespaceDescription(json: Array(description.utf8)).id }

    func key(_ index: Int) -> [UInt8] { Array("bench:\(run):\(index)".utf8) }

    /// The operation with the given number; `random` decides what a mixed one is.
    func request(_ number: Int, random: UInt64 = 0) -> BenchRequest {
        let first = number % distinctCount * plan.batch
        let keys = first..<(first + plan.batch)
        switch plan.operation {
        case .get: return get(keys)
        case .set: return set(keys)
        case .mixed: return Int(random % 100) < plan.readPercent ? get(keys) : set(keys)
        case .exists: return exists(keys)
        case .match: return match(keys)
        case .kvget: return blockGet(keys)
        // Blocks are immutable: every put has keys of its own.
        case .kvput: return blockPut(number * plan.batch..<(number + 1) * plan.batch)
        }
    }

    /// Whether operations can be written once and sent again and again.
    var isRepeatable: Bool { plan.operation != .kvput && plan.operation != .mixed }

    // MARK: Redis's verbs

    func get(_ keys: Range<Int>) -> BenchRequest {
        guard dialect == .resp else { return lm(.get, keys, .payloads) }
        return pipeline(keys, .payloads) { encoder, key in
            encoder.begin(argumentCount: 2)
            encoder.append("GET")
            encoder.append(self.key(key))
        }
    }

    func set(_ keys: Range<Int>) -> BenchRequest {
        guard dialect == .resp else { return lm(.put, keys, .stored) }
        return pipeline(keys, .stored) { encoder, key in
            encoder.begin(argumentCount: 3)
            encoder.append("SET")
            encoder.append(self.key(key))
            // SAFETY: the workload keeps the payloads for as long as its requests are sent.
            unsafe encoder.append(payload: payloads.payload(key))
        }
    }

    func exists(_ keys: Range<Int>) -> BenchRequest {
        guard dialect == .resp else { return lm(.exist, keys, .present) }
        return pipeline(keys, .present) { encoder, key in
            encoder.begin(argumentCount: 2)
            encoder.append("EXISTS")
            encoder.append(self.key(key))
        }
    }

    func delete(_ keys: Range<Int>) -> BenchRequest {
        var encoder = RequestEncoder()
        encoder.begin(argumentCount: 1 + keys.count)
        encoder.append("DEL")
        for key in keys { encoder.append(self.key(key)) }
        return BenchRequest(.resp(encoder.finish()), .anything, keys: keys, replyCount: 1)
    }

    private func pipeline(
        _ keys: Range<Int>,
        _ expectation: BenchRequest.Expectation,
        _ write: (inout RequestEncoder, Int) -> Void
    ) -> BenchRequest {
        var encoder = RequestEncoder()
        for key in keys { write(&encoder, key) }
        return BenchRequest(.resp(encoder.finish()), expectation, keys: keys, replyCount: keys.count)
    }

    // MARK: LMCache's verbs

    /// The key as LMCache writes one: model, workers, worker, hash, element type.
    func lmKey(_ index: Int) -> [UInt8] {
        Array("bench-\(run)@1@0@\(String(index + 1, radix: 16))@bfloat16".utf8)
    }

    /// A put is told by nothing but that its key exists afterwards.
    private func lm(
        _ verb: LMBenchMessage.Verb,
        _ keys: Range<Int>,
        _ expectation: BenchRequest.Expectation
    ) -> BenchRequest {
        var requests: [LMBenchMessage.Request] = []
        for key in keys {
            let name = lmKey(key)
            // SAFETY: the workload keeps the payloads for as long as its requests are sent.
            let payload = verb == .put ? unsafe payloads.payload(key) : nil
            unsafe requests.append(LMBenchMessage.Request(verb: verb, key: name, payload: payload))
            if verb == .put {
                unsafe requests.append(LMBenchMessage.Request(verb: .exist, key: name, payload: nil))
            }
        }
        return BenchRequest(.lm(LMBenchMessage(requests)), expectation, keys: keys, replyCount: keys.count)
    }

    // MARK: A node's verbs

    func describe() -> BenchRequest { single(["KV.DESCRIBE", description]) }

    func clear() -> BenchRequest { single(["KV.CLEAR", namespace?.description ?? ""]) }

    func match(_ keys: Range<Int>) -> BenchRequest { block("KV.MATCH", keys, .matched) }

    func blockGet(_ keys: Range<Int>) -> BenchRequest { block("KV.GET", keys, .payloads) }

    func blockPut(_ keys: Range<Int>) -> BenchRequest {
        var encoder = RequestEncoder()
        encoder.begin(argumentCount: 4 + 2 * keys.count)
        encoder.append("KV.PUT")
        encoder.append(namespace?.description ?? "")
        encoder.append("BLOCKS")
        encoder.append(keys.count)
        for key in keys {
            encoder.append(self.key(key))
            // SAFETY: the workload keeps the payloads for as long as its requests are sent.
            unsafe encoder.append(payload: payloads.payload(key))
        }
        return BenchRequest(.resp(encoder.finish()), .blocks, keys: keys, replyCount: 1)
    }

    private func block(
        _ verb: String,
        _ keys: Range<Int>,
        _ expectation: BenchRequest.Expectation
    ) -> BenchRequest {
        var encoder = RequestEncoder()
        encoder.begin(argumentCount: 4 + keys.count)
        encoder.append(verb)
        encoder.append(namespace?.description ?? "")
        encoder.append("KEYS")
        encoder.append(keys.count)
        for key in keys { encoder.append(self.key(key)) }
        return BenchRequest(.resp(encoder.finish()), expectation, keys: keys, replyCount: 1)
    }

    private func single(_ words: [String]) -> BenchRequest {
        var encoder = RequestEncoder()
        encoder.begin(argumentCount: words.count)
        for word in words { encoder.append(word) }
        return BenchRequest(.resp(encoder.finish()), .anything, keys: 0..<0, replyCount: 1)
    }
}
