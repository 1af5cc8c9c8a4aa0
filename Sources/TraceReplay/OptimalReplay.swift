/// What no policy can beat by much: the cache knows the future and keeps the blocks that are needed soonest.
///
/// Belady's MIN (1966) with bypass: a block never used again is not kept. Of blocks that are needed by the same request
/// the deepest goes first, for it is of no use without the others; ties the other way cost up to a point.
package struct OptimalReplay {
    private struct Need: Comparable {
        /// The request that needs the block next.
        let request: UInt32
        let position: UInt32
        let block: UInt32

        static func < (left: Need, right: Need) -> Bool {
            left.request == right.request ? left.position < right.position : left.request < right.request
        }
    }

    private static let never = UInt32.max

    /// Replays a trace with the future known.
    ///
    /// - Parameter capacity: blocks that the cache holds.
    package static func run(_ trace: Trace, capacity: Int) -> ReplayResult {
        let nextUses = nextUses(in: trace)
        var needs = [UInt32](repeating: never, count: trace.uniqueBlockCount)
        var farthest = MaxHeap<Need>()
        var heldCount = 0
        var result = ReplayResult()
        for request in 0..<trace.requestCount {
            let chain = trace.range(of: request)
            let hole = chain.first { needs[Int(trace.blocks[$0])] == never } ?? chain.upperBound
            result.blockCount += chain.count
            result.hitCount += hole - chain.lowerBound
            for place in chain {
                let block = trace.blocks[place]
                if needs[Int(block)] != never { heldCount -= 1 }
                needs[Int(block)] = nextUses[place]
                guard nextUses[place] != never else { continue }
                heldCount += 1
                let position = UInt32(truncatingIfNeeded: place - chain.lowerBound)
                farthest.insert(Need(request: nextUses[place], position: position, block: block))
            }
            while heldCount > capacity, let need = farthest.removeMax() {
                // A block that was used or dropped since has another need, or none.
                guard needs[Int(need.block)] == need.request else { continue }
                needs[Int(need.block)] = never
                heldCount -= 1
            }
        }
        return result
    }

    /// The request that uses each block of the trace next.
    private static func nextUses(in trace: Trace) -> [UInt32] {
        var next = [UInt32](repeating: never, count: trace.uniqueBlockCount)
        var uses = [UInt32](repeating: never, count: trace.blocks.count)
        for request in (0..<trace.requestCount).reversed() {
            for place in trace.range(of: request).reversed() { uses[place] = next[Int(trace.blocks[place])] }
            for place in trace.range(of: request) {
                next[Int(trace.blocks[place])] = UInt32(truncatingIfNeeded: request)
            }
        }
        return uses
    }
}
