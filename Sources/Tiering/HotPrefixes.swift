internal import Blocks
internal import Synchronization

/// The prefixes that most matches end in, by Space-Saving (Metwally, Agrawal, El Abbadi 2005): a fixed number of
/// counters; a new prefix takes over the smallest one and its count.
final class HotPrefixes: Sendable {
    private struct Candidate {
        let keys: KeyBatch
        let blockCount: Int
        var hits: Int
        var tokenCount: Int
    }

    private struct State {
        var candidates: [BlockIdentity: Candidate] = [:]
    }

    /// Blocks of one remembered prefix, so that the table's memory is bounded.
    static let blockCountMax = 4_096

    private let state = Mutex(State())
    private let countMax: Int

    init(countMax: Int) {
        self.countMax = max(1, countMax)
    }

    /// Counts a match of the first `matched` keys, whose last block is `last`.
    func record(last: BlockIdentity, keys: KeyBatch, matched: Int, tokenCount: Int) {
        guard matched > 0, matched <= Self.blockCountMax else { return }
        state.withLock { state in
            if state.candidates[last] != nil {
                state.candidates[last]?.hits += 1
                state.candidates[last]?.tokenCount = tokenCount
                return
            }
            var hits = 1
            if state.candidates.count >= countMax,
                let smallest = state.candidates.min(by: { $0.value.hits < $1.value.hits })
            {
                hits += smallest.value.hits
                state.candidates[smallest.key] = nil
            }
            state.candidates[last] = Candidate(
                keys: keys,
                blockCount: matched,
                hits: hits,
                tokenCount: tokenCount
            )
        }
    }

    /// The hottest prefixes under `prefix`, hottest first.
    func hottest(_ prefix: KeyPrefix, limit: Int) -> [HotPrefix] {
        state.withLock { state in
            state.candidates
                .filter { $0.key.prefix == prefix }
                .sorted { $0.value.hits > $1.value.hits }
                .prefix(max(0, limit))
                .map { entry in
                    HotPrefix(
                        keys: (0..<entry.value.blockCount).map { entry.value.keys.bytes(at: $0) },
                        hits: entry.value.hits,
                        tokenCount: entry.value.tokenCount
                    )
                }
        }
    }

    func forget(_ prefix: KeyPrefix) {
        state.withLock { state in
            state.candidates = state.candidates.filter { $0.key.prefix != prefix }
        }
    }
}
