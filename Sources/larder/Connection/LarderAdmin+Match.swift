internal import Blocks
internal import LarderClient

extension LarderAdmin {
    /// The tier of each leading key that is held, for any number of keys.
    func tiers(
        _ namespace: NamespaceID,
        _ keys: [BlockKeyArgument],
        prefetches: Bool = false
    ) async throws -> [PrefixMatch.Tier] {
        var tiers: [PrefixMatch.Tier] = []
        for batch in keys.batches {
            let match = try await match(namespace, keys: batch, prefetches: prefetches)
            tiers += match.tiers
            guard match.matchedCount == batch.count else { break }
        }
        return tiers
    }
}
