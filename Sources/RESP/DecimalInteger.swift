/// Signed decimal integers as Redis reads them: an optional `-`, no leading zeros, no spaces, 64 bits.
package enum DecimalInteger {
    /// Reads the whole of `bytes`; `nil` when it is not such an integer or does not fit.
    package static func parse(_ bytes: Span<UInt8>) -> Int? {
        guard bytes.count > 0, bytes.count <= 20 else { return nil }
        var line = LengthLine()
        for index in bytes.indices {
            guard line.take(bytes[index]) else { return nil }
        }
        return line.value
    }
}

/// A decimal integer that arrives byte by byte.
struct LengthLine {
    private var isNegative = false
    private var digitCount = 0
    private var magnitude: UInt64 = 0
    /// Whether the line's `\r` has been seen.
    var hasCarriageReturn = false

    /// Takes the next character; false when no integer can continue with it.
    mutating func take(_ byte: UInt8) -> Bool {
        if byte == UInt8(ascii: "-"), digitCount == 0, !isNegative {
            isNegative = true
            return true
        }
        guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return false }
        if digitCount > 0, magnitude == 0 { return false }
        let (product, overflows) = magnitude.multipliedReportingOverflow(by: 10)
        let (sum, carries) = product.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
        guard !overflows, !carries else { return false }
        magnitude = sum
        digitCount += 1
        return true
    }

    /// The integer read so far; `nil` for none, for `-0` and beyond 64 bits.
    var value: Int? {
        guard digitCount > 0 else { return nil }
        if !isNegative { return Int(exactly: magnitude) }
        guard magnitude > 0, magnitude <= UInt64(Int.max) + 1 else { return nil }
        return Int(truncatingIfNeeded: 0 &- magnitude)
    }
}
