internal import Blocks
internal import RESP

extension NodeLink {
    func stats(
        _ namespace: NamespaceID?,
        _ effort: CallEffort
    ) async throws(LarderClientError) -> [String: String] {
        let request =
            if let namespace {
                Self.request("KV.STATS", namespace.description)
            } else {
                Self.request("KV.STATS")
            }
        return try Self.figures(try await ask(request, effort))
    }

    /// Reads a map, an array that stands for one, or lines of `name:value`.
    static func figures(_ reply: Reply) throws(LarderClientError) -> [String: String] {
        var figures: [String: String] = [:]
        if let pairs = reply.pairs {
            for (name, value) in pairs {
                if let name = name.text { figures[name] = value.text ?? "" }
            }
            return figures
        }
        guard case .bulk = reply, let text = reply.text else { throw unexpected("KV.STATS", reply) }
        for line in text.split(whereSeparator: \.isNewline) where !line.hasPrefix("#") {
            let name = line.prefix { $0 != ":" }
            figures[String(name)] = String(line.dropFirst(name.count + 1))
        }
        return figures
    }

    func hot(
        _ namespace: NamespaceID,
        limit: Int,
        _ effort: CallEffort
    ) async throws(LarderClientError) -> [PrefixHeat] {
        let reply = try await ask(Self.request("KV.HOT", namespace.description, String(limit)), effort)
        guard let entries = reply.elements else { throw Self.unexpected("KV.HOT", reply) }
        return try entries.map { (entry) throws(LarderClientError) in
            guard let fields = entry.pairs, let heat = Self.heat(fields) else {
                throw Self.unexpected("KV.HOT", reply)
            }
            return heat
        }
    }

    /// Reads `keys`, `tokens` and `hits` by their names.
    private static func heat(_ fields: [(key: Reply, value: Reply)]) -> PrefixHeat? {
        var keys: [[UInt8]]?
        var numbers: [String: Int] = [:]
        for (name, value) in fields {
            guard let name = name.text else { return nil }
            if name == "keys" {
                keys = value.elements?.compactMap { if case .bulk(let bytes) = $0 { bytes } else { nil } }
            } else {
                numbers[name] = value.integer.map { Int(clamping: $0) }
            }
        }
        guard let keys else { return nil }
        return PrefixHeat(keys: keys, tokenCount: numbers["tokens"] ?? 0, hitCount: numbers["hits"] ?? 0)
    }
}
