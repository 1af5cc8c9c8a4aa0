/// How much a node is wanted for a slot; the highest of all nodes owns it.
///
/// Weighted rendezvous hashing: with `u` a hash of node and slot, uniform in (0, 1), the score is `weight / -ln u`, and
/// a node has the highest one with a probability in proportion to its weight (Schindelhauer and Schomaker, "Weighted
/// distributed hash tables", 2005). A node that comes or goes moves no slot between the others.
///
/// Every node must come to the same result, so this uses only operations that IEEE 754 defines to the last bit: no
/// logarithm of a library's.
enum RendezvousScore {
    /// A hash of the node's name: FNV-1a of 64 bits.
    static func seed(_ name: NodeName) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.description.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return hash
    }

    /// The score of a node for a slot.
    static func of(seed: UInt64, weight: UInt32, slot: Int) -> Double {
        let hash = mix(seed ^ UInt64(truncatingIfNeeded: slot) &* 0x9e37_79b9_7f4a_7c15)
        // 53 bits and a half: never 0 and never 1.
        let uniform = (Double(hash >> 11) + 0.5) / 9_007_199_254_740_992
        return Double(weight) / -logarithm(uniform)
    }

    /// The finalizer of splitmix64.
    private static func mix(_ value: UInt64) -> UInt64 {
        var value = value
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }

    /// ln x for 0 < x < 1, to 1e-12: ln(m 2^e) = e ln 2 + 2 atanh((m - 1) / (m + 1)), m in [0.75, 1.5), by its series.
    static func logarithm(_ value: Double) -> Double {
        var mantissa = value.significand
        var exponent = Double(value.exponent)
        if mantissa >= 1.5 {
            mantissa /= 2
            exponent += 1
        }
        let ratio = (mantissa - 1) / (mantissa + 1)
        let square = ratio * ratio
        var sum = 0.0
        var power = ratio
        for divisor in stride(from: 1.0, through: 17.0, by: 2.0) {
            sum += power / divisor
            power *= square
        }
        return exponent * 0.693_147_180_559_945_3 + 2 * sum
    }
}
