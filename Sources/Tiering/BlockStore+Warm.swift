package import Blocks
internal import DiskTier
internal import MemoryTier
internal import Synchronization

extension BlockStore {
    /// Brings blocks to memory, which counts as no use of them.
    ///
    /// `completion` gets for each key the bytes of its block, `nil` when it is not held or could not be brought. It is
    /// called once, on any thread, possibly before this returns.
    package func warm(
        _ space: KeySpace,
        keys: KeyBatch,
        _ completion: @escaping @Sendable ([Int?]) -> Void
    ) {
        var byteCounts = [Int?](repeating: nil, count: keys.count)
        var toLoad: [Int] = []
        for index in 0..<keys.count {
            let identity = space.identity(of: keys[index])
            if let summary = memory.summary(identity) {
                byteCounts[index] = summary.payloadByteCount
            } else if disk?.summary(identity) != nil {
                toLoad.append(index)
            }
        }
        guard !toLoad.isEmpty else { return completion(byteCounts) }
        counters.prefetches.add(toLoad.count)
        let warming = Warming(byteCounts, missing: toLoad.count, completion)
        for index in toLoad {
            let identity = space.identity(of: keys[index])
            let isTaken =
                admits(space)
                && loader.load(identity, key: keys.bytes(at: index)) { lease in
                    warming.arrived(lease.map { unsafe $0.payload.count }, at: index)
                }
            guard !isTaken else { continue }
            counters.prefetchesRefused.add()
            warming.arrived(nil, at: index)
        }
    }
}

/// Collects what became of one batch; calls back when the last has arrived.
private final class Warming: Sendable {
    private struct State {
        var byteCounts: [Int?]
        var missing: Int
    }

    private let state: Mutex<State>
    private let completion: @Sendable ([Int?]) -> Void

    init(_ byteCounts: [Int?], missing: Int, _ completion: @escaping @Sendable ([Int?]) -> Void) {
        state = Mutex(State(byteCounts: byteCounts, missing: missing))
        self.completion = completion
    }

    func arrived(_ byteCount: Int?, at index: Int) {
        let complete: [Int?]? = state.withLock { state in
            state.byteCounts[index] = byteCount
            state.missing -= 1
            return state.missing == 0 ? state.byteCounts : nil
        }
        if let complete { completion(complete) }
    }
}
