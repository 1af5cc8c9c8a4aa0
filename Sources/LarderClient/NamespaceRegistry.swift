internal import Blocks
internal import Synchronization

/// The namespaces that every connection describes before it is used, in the order they came.
final class NamespaceRegistry: Sendable {
    private let descriptions = Mutex<[NamespaceDescription]>([])

    /// Adds a description once.
    func add(_ description: NamespaceDescription) {
        descriptions.withLock { known in
            if !known.contains(description) { known.append(description) }
        }
    }

    /// The canonical JSON of each namespace from the `count`th on.
    func canonicalBytes(after count: Int) -> [[UInt8]] {
        descriptions.withLock { known in known.dropFirst(count).map(\.canonicalBytes) }
    }
}
