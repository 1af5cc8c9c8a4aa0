internal import Blocks

/// Remembers in bounded memory which blocks were evicted: a ring of Bloom filters, of which the oldest is emptied when
/// the newest is full.
///
/// A block that was added is found until its filter is emptied. Fewer than one in a hundred blocks that were never
/// added are found too.
struct EvictionFilters {
    /// Bits set for each block.
    private static let hashCount: UInt64 = 8
    /// Bits of a filter for each block it takes; with eight hashes 1 in 1,700 is found by mistake.
    private static let bitsPerBlock = 16

    private let filterCount: Int
    private let blockCountPerFilter: Int
    private var filters: [[UInt64]] = []
    private var newest = 0
    private var newestBlockCount = 0

    /// Creates empty filters, which take 2 bytes for each block once they are used.
    ///
    /// - Parameter blockCountPerFilter: blocks after which the next filter begins, at least 64.
    init(filterCount: Int = 8, blockCountPerFilter: Int = 1 << 20) {
        self.filterCount = max(1, filterCount)
        self.blockCountPerFilter = max(64, blockCountPerFilter)
    }

    /// Bytes of memory taken now.
    var byteCount: Int { filters.reduce(0) { $0 + $1.count * 8 } }

    mutating func add(_ identity: BlockIdentity) {
        if filters.isEmpty {
            filters.append(emptyFilter)
        } else if newestBlockCount == blockCountPerFilter {
            newest = (newest + 1) % filterCount
            newestBlockCount = 0
            if newest == filters.count {
                filters.append(emptyFilter)
            } else {
                filters[newest] = emptyFilter
            }
        }
        newestBlockCount += 1
        for number in 0..<Self.hashCount {
            let bit = bit(number, of: identity)
            filters[newest][bit / 64] |= 1 << UInt64(bit % 64)
        }
    }

    func contains(_ identity: BlockIdentity) -> Bool {
        filters.contains { filter in
            (0..<Self.hashCount).allSatisfy { number in
                let bit = bit(number, of: identity)
                return filter[bit / 64] & (1 << UInt64(bit % 64)) != 0
            }
        }
    }

    private var emptyFilter: [UInt64] {
        [UInt64](repeating: 0, count: blockCountPerFilter * Self.bitsPerBlock / 64)
    }

    /// The place of one of a block's bits: double hashing by the two words of its digest, which are uniform.
    private func bit(_ number: UInt64, of identity: BlockIdentity) -> Int {
        let hash = identity.digest.x &+ number &* (identity.digest.y | 1)
        return Int(truncatingIfNeeded: hash % UInt64(blockCountPerFilter * Self.bitsPerBlock))
    }
}
