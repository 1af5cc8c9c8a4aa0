#if canImport(Glibc)
    internal import Glibc
#endif

/// Chooses tokens from logits; the same options and seed choose the same tokens.
package struct Sampler: Sendable {
    /// How tokens are chosen.
    package struct Options: Hashable, Sendable {
        /// Above 0: how much less likely tokens are favoured; 0: always the likeliest.
        package var temperature = 0.0
        /// Only the likeliest tokens that together have this probability are candidates; in 0...1, 1: all.
        package var topProbability = 1.0
        /// Where the choice's randomness starts.
        package var seed: UInt64 = 0

        package init() {}
    }

    private let options: Options
    private var generator: SeededGenerator

    package init(_ options: Options = Options()) {
        self.options = options
        generator = SeededGenerator(seed: options.seed)
    }

    /// The next token; the first of equally likely ones when choosing greedily. Token 0 when there is no number
    /// among the logits.
    package mutating func next(_ logits: Logits) -> UInt32 {
        guard options.temperature > 0 else { return Self.likeliest(logits.values) }
        return sample(logits.values)
    }

    private static func likeliest(_ values: [Float]) -> UInt32 {
        var best = 0
        for (token, value) in values.enumerated() where value > values[best] || values[best].isNaN && !value.isNaN {
            best = token
        }
        return UInt32(best)
    }

    private mutating func sample(_ values: [Float]) -> UInt32 {
        let top = Double(values[Int(Self.likeliest(values))])
        guard top.isFinite else { return Self.likeliest(values) }
        var candidates: [(token: Int, weight: Double)] = []
        for (token, value) in values.enumerated() where !value.isNaN {
            candidates.append((token, exp((Double(value) - top) / options.temperature)))
        }
        candidates.sort { ($1.weight, $0.token) < ($0.weight, $1.token) }
        let limit = options.topProbability * candidates.reduce(0) { $0 + $1.weight }
        var sum = 0.0
        var count = 0
        repeat {
            sum += candidates[count].weight
            count += 1
        } while count < candidates.count && sum < limit
        // 53 bits, in 0..<1.
        var point = Double(generator.next() >> 11) / 9_007_199_254_740_992 * sum
        for candidate in candidates.prefix(count) {
            point -= candidate.weight
            if point < 0 { return UInt32(candidate.token) }
        }
        return UInt32(candidates[count - 1].token)
    }
}
