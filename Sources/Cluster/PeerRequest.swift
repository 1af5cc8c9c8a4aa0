internal import Blocks
internal import RESP
internal import Tiering

/// Requests from node to node: a client's, on behalf of a tenant, by `KV.FOR tenant database VERB ...`.
enum PeerRequest {
    /// Begins a request of `argumentCount` arguments of its own.
    static func begin(
        _ encoder: inout RequestEncoder,
        for tenant: Tenant,
        database: Int = 0,
        argumentCount: Int
    ) {
        encoder.begin(argumentCount: 3 + argumentCount)
        encoder.append("KV.FOR")
        encoder.append(tenant.name)
        encoder.append(database)
    }

    /// `VERB ns options KEYS n key ...` for some of the keys.
    static func keys(
        _ verb: String,
        _ space: KeySpace,
        _ options: [String] = [],
        _ keys: KeyBatch,
        _ indices: [Int]
    ) -> EncodedRequest {
        var encoder = RequestEncoder()
        begin(&encoder, for: space.tenant, argumentCount: 4 + options.count + indices.count)
        encoder.append(verb)
        encoder.append(space.namespace.description)
        for option in options { encoder.append(option) }
        encoder.append("KEYS")
        encoder.append(indices.count)
        for index in indices { encoder.append(keys[index]) }
        return encoder.finish()
    }

    /// `VERB arguments ...`.
    static func words(_ tenant: Tenant, _ arguments: [String]) -> EncodedRequest {
        var encoder = RequestEncoder()
        begin(&encoder, for: tenant, argumentCount: arguments.count)
        for argument in arguments { encoder.append(argument) }
        return encoder.finish()
    }
}
