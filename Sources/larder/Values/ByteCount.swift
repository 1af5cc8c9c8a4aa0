/// An amount of bytes as people write it: `2GiB`, `512MiB`, `1.5GB`, `4096`.
struct ByteCount: Hashable, Sendable {
    /// Bytes.
    let bytes: Int

    /// Wraps a number of bytes.
    init(bytes: Int) {
        self.bytes = bytes
    }

    /// Reads a number with at most three decimals and an optional unit; `nil` when it is not one, or too large.
    ///
    /// `KiB MiB GiB TiB` are powers of 1,024, `kB MB GB TB` powers of 1,000, letter case does not matter. A bare
    /// `K M G T` is refused: it means both.
    init?(_ text: String) {
        let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let unit = text.dropFirst(number.count).drop { $0 == " " }
        guard let unitBytes = Self.units.first(where: { $0.name == unit.lowercased() })?.bytes,
            let thousandths = Self.thousandths(number)
        else { return nil }
        let (product, overflows) = thousandths.multipliedReportingOverflow(by: unitBytes)
        guard !overflows, product.isMultiple(of: 1_000) else { return nil }
        bytes = product / 1_000
    }

    private static let units: [(name: String, bytes: Int)] = [
        ("", 1), ("b", 1),
        ("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30), ("tib", 1 << 40),
        ("kb", 1_000), ("mb", 1_000_000), ("gb", 1_000_000_000), ("tb", 1_000_000_000_000),
    ]

    private static func thousandths(_ number: Substring) -> Int? {
        let parts = number.split(separator: ".", omittingEmptySubsequences: false)
        guard let first = parts.first, let whole = Int(first), parts.count <= 2 else { return nil }
        let decimals = parts.count == 2 ? parts[1] : "0"
        guard (1...3).contains(decimals.count),
            let fraction = Int(decimals + String(repeating: "0", count: 3 - decimals.count))
        else { return nil }
        let (scaled, overflows) = whole.multipliedReportingOverflow(by: 1_000)
        return overflows ? nil : scaled + fraction
    }
}

extension ByteCount: CustomStringConvertible {
    /// With one decimal in the largest binary unit that fits: `2.0 GiB`, `512 B`.
    var description: String {
        let names = ["KiB", "MiB", "GiB", "TiB"]
        guard bytes >= 1_024 else { return "\(bytes) B" }
        var tenths = bytes / 1_024 > Int.max / 10 ? Int.max : bytes * 10 / 1_024
        var index = 0
        while tenths >= 10_240, index < names.count - 1 {
            tenths /= 1_024
            index += 1
        }
        return "\(tenths / 10).\(tenths % 10) \(names[index])"
    }

    /// The shortest spelling that reads back to the same number: `2GiB`, `1000000`.
    var exactText: String {
        let names: [(String, Int)] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        for (name, unit) in names where bytes >= unit && bytes.isMultiple(of: unit) {
            return "\(bytes / unit)\(name)"
        }
        return String(bytes)
    }
}
