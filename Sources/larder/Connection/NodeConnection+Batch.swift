internal import Blocks
internal import RESP

extension NodeConnection {
    /// Sends `VERB namespace options KEYS n key...`, and returns the reply's elements.
    func keys(
        _ verb: String,
        _ namespace: [UInt8],
        options: [String] = [],
        _ keys: some Collection<[UInt8]>
    ) throws(CommandFailure) -> [Reply] {
        let head = [Array(verb.utf8), namespace] + options.map { Array($0.utf8) }
        let reply = try call(head + [Array("KEYS".utf8), Array(String(keys.count).utf8)] + keys)
        guard let elements = reply.elements else {
            throw CommandFailure(.software, "\(verb) gave no array")
        }
        return elements
    }

    /// How many of the leading `keys` are held, and each one's tier; in batches of at most 16,384 keys.
    func match(
        _ namespace: [UInt8],
        _ keys: [[UInt8]],
        prefetches: Bool = false
    ) throws(CommandFailure) -> [String] {
        var tiers: [String] = []
        for start in stride(from: 0, to: keys.count, by: Limits.batchKeyCountMax) {
            let batch = keys[start..<min(keys.count, start + Limits.batchKeyCountMax)]
            let reply = try self.keys("KV.MATCH", namespace, options: prefetches ? ["PREFETCH"] : [], batch)
            let matched = try Match(reply)
            tiers += matched.tiers
            guard matched.tiers.count == batch.count else { break }
        }
        return tiers
    }

    /// Runs a verb over any number of keys, in batches; returns one integer a key, or one sum a batch.
    func inBatches(
        _ verb: String,
        _ namespace: [UInt8],
        options: [String] = [],
        _ keys: [[UInt8]]
    ) throws(CommandFailure) -> [Reply] {
        var replies: [Reply] = []
        for start in stride(from: 0, to: keys.count, by: Limits.batchKeyCountMax) {
            let batch = keys[start..<min(keys.count, start + Limits.batchKeyCountMax)]
            let head = [Array(verb.utf8), namespace] + options.map { Array($0.utf8) }
            let reply = try call(head + [Array("KEYS".utf8), Array(String(batch.count).utf8)] + batch)
            replies += reply.elements ?? [reply]
        }
        return replies
    }
}

/// The reply of KV.MATCH: how many leading keys are held, a lease or nothing, and the tier of each held key.
private struct Match {
    let tiers: [String]

    init(_ elements: [Reply]) throws(CommandFailure) {
        guard elements.count >= 2, let matched = elements[0].integer, matched >= 0 else {
            throw CommandFailure(.software, "KV.MATCH gave an unexpected reply")
        }
        let names = elements.count == 3 ? elements[2].elements ?? [elements[2]] : Array(elements.dropFirst(2))
        tiers = names.compactMap(\.text)
        guard tiers.count == Int(matched) else {
            throw CommandFailure(.software, "KV.MATCH gave \(tiers.count) tiers for \(matched) keys")
        }
    }
}
