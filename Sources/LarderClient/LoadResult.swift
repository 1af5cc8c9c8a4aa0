/// Which of the wanted payloads arrived whole.
public struct LoadResult: Hashable, Sendable {
    /// For each key, whether its payload is in the caller's memory.
    public let isLoaded: [Bool]

    /// Creates a result.
    public init(isLoaded: [Bool]) {
        self.isLoaded = isLoaded
    }

    /// Nothing arrived, for `count` keys.
    public static func none(count: Int) -> LoadResult {
        LoadResult(isLoaded: Array(repeating: false, count: count))
    }

    /// How many payloads arrived.
    public var loadedCount: Int { isLoaded.count { $0 } }

    /// How many of the first payloads arrived, without a hole.
    public var loadedPrefixCount: Int { isLoaded.firstIndex(of: false) ?? isLoaded.count }

    /// Whether each payload arrived.
    public var isComplete: Bool { !isLoaded.contains(false) }
}
