/// What is remembered of blocks that left: when they were last used and how often, 4 bytes each.
///
/// Sets of four, found by some bits of the identity and told apart by sixteen others; in a full set the ghost goes
/// that was used longest ago, where four uses count for as much as an eighth of the time. Times are kept in steps of
/// 1/64 of `span`, so they wrap after 64 spans.
struct GhostTable {
    /// What is known of one block.
    struct Memory {
        /// How long ago the block was last used, in the caller's ticks.
        let age: UInt32
        /// Uses until then, at most 15.
        let useCount: UInt8
    }

    /// A tag of sixteen bits, never 0 for a ghost; then twelve bits of time and four of uses.
    private var ghosts: [UInt32]
    private let setCount: UInt64
    private let stepShift: UInt32

    /// Uses that are told apart.
    static let useCountMax: UInt8 = 15

    /// Room for `count` ghosts, whose ages are told apart up to 64 times `span` ticks.
    init(count: Int, span: Int) {
        let sets = max(16, count / 4)
        setCount = UInt64(sets)
        ghosts = [UInt32](repeating: 0, count: sets * 4)
        var shift: UInt32 = 0
        while shift < 19, (4_096 << shift) < 64 * span { shift += 1 }
        stepShift = shift
    }

    /// Bytes of the table.
    var byteCount: Int { ghosts.count * 4 }

    /// Takes the block's ghost out; `nil` when there is none.
    mutating func take(_ identityBits: UInt64, now: UInt32) -> Memory? {
        let first = firstIndex(identityBits)
        let tag = Self.tag(identityBits)
        for index in first..<(first + 4) where ghosts[index] & 0xffff_0000 == tag {
            let memory = Memory(age: age(ghosts[index], now: now), useCount: UInt8(ghosts[index] & 15))
            ghosts[index] = 0
            return memory
        }
        return nil
    }

    /// Remembers a block that was last used at tick `time`.
    mutating func add(_ identityBits: UInt64, usedAt time: UInt32, useCount: UInt8, now: UInt32) {
        let first = firstIndex(identityBits)
        var place = first
        var worst: UInt32 = 0
        for index in first..<(first + 4) {
            guard ghosts[index] != 0 else {
                place = index
                break
            }
            let useBits = min(ghosts[index] & 15, 4)
            let worth = age(ghosts[index], now: now) >> (useBits - min(useBits, 1))
            if worth >= worst {
                worst = worth
                place = index
            }
        }
        let step = (time >> stepShift) & 4_095
        ghosts[place] = Self.tag(identityBits) | step << 4 | UInt32(min(useCount, Self.useCountMax))
    }

    private func firstIndex(_ identityBits: UInt64) -> Int {
        Int((identityBits &* 0x9e37_79b9_7f4a_7c15).multipliedFullWidth(by: setCount).high) * 4
    }

    private static func tag(_ identityBits: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: identityBits >> 16 | 1) << 16
    }

    private func age(_ ghost: UInt32, now: UInt32) -> UInt32 {
        (((now >> stepShift) &- (ghost >> 4 & 4_095)) & 4_095) << stepShift
    }
}
