internal import Blocks
internal import MemoryTier

/// A match as it grows.
struct MatchWalk: Sendable {
    let leases: Bool
    let budget: (memoryByteCount: Int, diskByteCount: Int)
    let request: ChainRequest?
    var tiers: [Tier] = []
    var touched: [BlockUse] = []
    var holdings = LeaseTable.Holdings()
    var tokenCount = 0
    var last: BlockIdentity?
    var isShortened = false
    /// Bytes of each block that is held, in order: what to take off when the end is not wanted.
    var byteCounts: [Int] = []

    /// Notes that the next block of the chain is in memory.
    mutating func use(_ handle: BlockHandle) {
        touched.append(BlockUse(handle, at: request?.place(at: tiers.count)))
    }

    /// Takes what it holds of all but the first `count` blocks out of the walk, to be given back.
    mutating func trim(toBlockCount count: Int) -> LeaseTable.Holdings {
        var surplus = LeaseTable.Holdings()
        guard leases else { return surplus }
        while tiers.count > count, let tier = tiers.popLast() {
            let byteCount = byteCounts.popLast() ?? 0
            switch tier {
            case .memory:
                if let handle = holdings.memoryHandles.popLast() { surplus.memoryHandles.append(handle) }
                holdings.memoryByteCount -= byteCount
                surplus.memoryByteCount += byteCount
                _ = touched.popLast()
            case .disk:
                if let identity = holdings.diskIdentities.popLast() {
                    surplus.diskIdentities.append(identity)
                }
                holdings.diskByteCount -= byteCount
                surplus.diskByteCount += byteCount
            case .peer: break
            }
        }
        return surplus
    }
}
