internal import Blocks
internal import RESP
internal import Synchronization

/// The namespaces that every connection describes before it is used, in the order they came.
final class NamespaceRegistry: Sendable {
    private struct Entry: Hashable {
        let description: NamespaceDescription
        /// For whom a node describes it to another node; `nil` is whoever the connection is for.
        let tenant: Tenant?
    }

    private struct State {
        var entries: [Entry] = []
        var known: Set<Entry> = []
    }

    private let state = Mutex(State())

    /// Adds a description once for each tenant.
    func add(_ description: NamespaceDescription, for tenant: Tenant? = nil) {
        let entry = Entry(description: description, tenant: tenant)
        state.withLock { state in
            if state.known.insert(entry).inserted { state.entries.append(entry) }
        }
    }

    /// The requests that describe each namespace from the `count`th on.
    func requests(after count: Int) -> [EncodedRequest] {
        let entries = state.withLock { Array($0.entries.dropFirst(count)) }
        return entries.map { entry in
            var encoder = RequestEncoder()
            encoder.begin(argumentCount: entry.tenant == nil ? 2 : 5)
            if let tenant = entry.tenant {
                encoder.append("KV.FOR")
                encoder.append(tenant.name)
                encoder.append("0")
            }
            encoder.append("KV.DESCRIBE")
            encoder.append(entry.description.canonicalBytes)
            return encoder.finish()
        }
    }
}
