extension Float {
    /// The value of a bfloat16: the upper half of a float32.
    init(brainBits: UInt16) {
        self.init(bitPattern: UInt32(brainBits) << 16)
    }

    /// The nearest bfloat16, ties to even; not-a-number stays not-a-number.
    var brainBits: UInt16 {
        if isNaN { return UInt16(truncatingIfNeeded: bitPattern >> 16) | 0x40 }
        let rounding = 0x7fff &+ (bitPattern >> 16 & 1)
        return UInt16(truncatingIfNeeded: (bitPattern &+ rounding) >> 16)
    }

    /// The value of an IEEE 754 half.
    init(halfBits: UInt16) {
        let sign = UInt32(halfBits & 0x8000) << 16
        let magnitude = UInt32(halfBits & 0x7fff)
        if magnitude >= 0x7c00 {  // infinity, not-a-number
            self.init(bitPattern: sign | 0x7f80_0000 | (magnitude & 0x3ff) << 13)
        } else {
            // The exponent bias differs by 112; multiplying settles subnormal halves too, exactly.
            let unsigned = Float(bitPattern: magnitude << 13) * Float(bitPattern: 0x7780_0000)
            self.init(bitPattern: sign | unsigned.bitPattern)
        }
    }

    /// The nearest half, ties to even; too large becomes infinity, not-a-number stays not-a-number.
    var halfBits: UInt16 {
        let sign = UInt16(truncatingIfNeeded: bitPattern >> 16) & 0x8000
        let magnitude = bitPattern & 0x7fff_ffff
        if magnitude > 0x7f80_0000 { return sign | 0x7e00 }
        if magnitude >= 0x477f_f000 { return sign | 0x7c00 }  // 65,520 and above
        if magnitude < 0x3880_0000 {
            // Below the least normal half: adding 0.5 leaves a count of 2^-24 in the low bits, rounded to even.
            let shifted = Float(bitPattern: magnitude) + 0.5
            return sign | UInt16(truncatingIfNeeded: shifted.bitPattern &- 0x3f00_0000)
        }
        let rounding = 0xfff &+ (magnitude >> 13 & 1)
        return sign | UInt16(truncatingIfNeeded: (magnitude &+ rounding &- 0x3800_0000) >> 13)
    }
}
