internal import Synchronization

/// Counts the latencies of one event loop's requests.
///
/// Only that loop writes, so that a count is a load and a store: no lock, no locked instruction, no memory taken. Anyone
/// may read.
final class LatencyRecorder: Sendable {
    /// `LatencyBuckets.count` for each kind of request.
    private let counts = InlineArray<1_440, Atomic<UInt64>> { _ in Atomic(0) }
    /// The longest of each kind since it was taken last.
    private let longest = InlineArray<5, Atomic<UInt64>> { _ in Atomic(0) }

    /// Counts a request. Called on the loop.
    func record(_ kind: RequestKind, nanoseconds: UInt64) {
        if nanoseconds > longest[kind.rawValue].load(ordering: .relaxed) {
            longest[kind.rawValue].store(nanoseconds, ordering: .relaxed)
        }
        let index = kind.rawValue * LatencyBuckets.count + LatencyBuckets.index(nanoseconds: nanoseconds)
        // Who sees the count sees the longest one too.
        counts[index].store(counts[index].load(ordering: .relaxed) &+ 1, ordering: .releasing)
    }

    /// Adds what was counted of a kind from the start on.
    func add(_ kind: RequestKind, to sum: inout LatencyCounts) {
        for bucket in 0..<LatencyBuckets.count {
            let index = kind.rawValue * LatencyBuckets.count + bucket
            sum.add(counts[index].load(ordering: .acquiring), at: bucket)
        }
    }

    /// The longest request of a kind since the last call, in nanoseconds.
    func takeLongest(_ kind: RequestKind) -> UInt64 {
        longest[kind.rawValue].exchange(0, ordering: .relaxed)
    }
}
