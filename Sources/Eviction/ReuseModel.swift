/// Learns, from a sample of uses and of what followed them, how worth keeping a block is at any age since its use.
///
/// For each class by number of uses there is a curve: the chance per tick that the next use comes now, by age. It
/// starts as 1/age (reuse spread evenly over orders of magnitude), scaled to what is seen, and bends to what is seen.
/// Other properties of a use multiply the whole curve by a ratio each, of uses seen to uses expected; so a handful of
/// numbers covers all combinations, and a new cache learns fast. The worth at an age is the best rate of uses per tick
/// of waiting over any stretch that begins there: a block whose hour is still to come is worth more than one whose
/// hour has passed. This is the index of Gittins (1979); the rate of hits per space and time as the measure is that
/// of Beckmann, Chen and Cidon, "LHD", NSDI 2018.
struct ReuseModel {
    /// Lists of blocks that are forecast alike: use classes times steps of the ratio.
    static let listCount = UseKind.useClassCount * ratioSteps.count

    /// Ratios from 1/8 to 2.8 in steps of the root of two.
    private static let ratioSteps = [0.125, 0.177, 0.25, 0.354, 0.5, 0.707, 1, 1.414, 2, 2.828]
    /// How often a block of each class comes back, before anything was seen.
    private static let firstGuesses = [0.2, 0.4, 0.55, 0.7, 0.85, 0.98]
    /// Sampled uses that the first guess of a curve counts for.
    private static let guessWeight = 8.0
    /// Uses that the scale 1 of a curve counts for.
    private static let scaleWeight = 4.0
    /// Uses that the ratio 1 of a level counts for.
    private static let ratioWeight = 30.0
    /// What remains of older experience at each lesson.
    private static let memory = 255.0 / 256
    private static let buckets = AgeScale.bucketCount

    /// By class and bucket: uses seen, and the weights of sampled blocks whose wait ended there or goes on.
    private var uses: [Double]
    private var ended: [Double]
    private var waiting: [Double]
    /// By level: uses seen, and uses expected from waits that ended and that go on.
    private var levelUses: [Double]
    private var levelExpected: [Double]
    private var levelWaiting: [Double]
    private var ratios: [Double]
    /// By class and bucket: uses expected up to there.
    private var expected: [Double]
    /// By list and bucket: the worth of a block.
    private var worths: [Double]

    /// A model that has seen nothing.
    ///
    /// - Parameter heldCount: blocks in the cache, which says what is a short time.
    init(heldCount: Int) {
        let cells = [Double](repeating: 0, count: UseKind.useClassCount * Self.buckets)
        let levels = [Double](repeating: 0, count: UseKind.levelCount)
        uses = cells
        ended = cells
        waiting = cells
        expected = cells
        worths = [Double](repeating: 0, count: Self.listCount * Self.buckets)
        levelUses = levels
        levelExpected = levels
        levelWaiting = levels
        ratios = [Double](repeating: 1, count: UseKind.levelCount)
        learn(heldCount: heldCount)
    }

    // MARK: Asking

    /// The list for blocks after such a use.
    func list(for kind: UseKind) -> Int {
        let ratio = ratio(of: kind)
        var step = 0
        // A step is taken at the middle between two ratios, on a scale of logarithms: a factor of the fourth root of 2.
        while step + 1 < Self.ratioSteps.count, ratio > Self.ratioSteps[step] * 1.189 { step += 1 }
        return kind.useClass * Self.ratioSteps.count + step
    }

    /// Uses per tick that keeping a block of this list promises, at an age in ticks.
    func worth(ofList list: Int, age: UInt32) -> Double {
        worths[list * Self.buckets + AgeScale.bucket(of: age)]
    }

    // MARK: Learning

    /// A sampled block's wait after a use ended at an age: with its next use, or because it was lost sight of.
    mutating func ended(after kind: UseKind, age: UInt32, isUse: Bool) {
        let cell = kind.useClass * Self.buckets + AgeScale.bucket(of: age)
        let ratio = ratio(of: kind)
        ended[cell] += ratio
        if isUse { uses[cell] += 1 }
        Self.expect(expected[cell], after: kind, ratios: ratios, in: &levelExpected)
        guard isUse else { return }
        for factor in 0..<UseKind.factorCount { levelUses[kind.level(factor)] += 1 }
    }

    /// A sampled block still waits for its next use; to be told of each once between two lessons.
    mutating func waits(after kind: UseKind, age: UInt32) {
        let cell = kind.useClass * Self.buckets + AgeScale.bucket(of: age)
        let ratio = ratio(of: kind)
        waiting[cell] += ratio
        Self.expect(expected[cell], after: kind, ratios: ratios, in: &levelWaiting)
    }

    /// Draws the conclusions; some ten thousand operations on numbers.
    mutating func learn(heldCount: Int) {
        for useClass in 0..<UseKind.useClassCount { learnCurve(of: useClass, heldCount: heldCount) }
        for index in 0..<UseKind.factorCount { learnRatios(ofFactor: index) }
        for cell in uses.indices {
            uses[cell] *= Self.memory
            ended[cell] *= Self.memory
            waiting[cell] = 0
        }
        for level in ratios.indices {
            levelUses[level] *= Self.memory
            levelExpected[level] *= Self.memory
            levelWaiting[level] = 0
        }
    }

    /// Adds uses expected to each level's sum, multiplied by the ratios of the other levels.
    private static func expect(
        _ uses: Double,
        after kind: UseKind,
        ratios: [Double],
        in sums: inout [Double]
    ) {
        let (pause, length, ending) = (kind.level(0), kind.level(1), kind.level(2))
        sums[pause] += uses * ratios[length] * ratios[ending]
        sums[length] += uses * ratios[pause] * ratios[ending]
        sums[ending] += uses * ratios[pause] * ratios[length]
    }

    private func ratio(of kind: UseKind) -> Double {
        ratios[kind.level(0)] * ratios[kind.level(1)] * ratios[kind.level(2)]
    }

    private mutating func learnCurve(of useClass: Int, heldCount: Int) {
        let first = useClass * Self.buckets
        var waited = [Double](repeating: 0, count: Self.buckets)
        var guesses = waited
        var seen = Self.scaleWeight
        var guessed = Self.scaleWeight
        var survivors = 0.0
        for bucket in (0..<Self.buckets).reversed() {
            let width = AgeScale.width(of: bucket)
            let leaving = ended[first + bucket] + waiting[first + bucket]
            waited[bucket] = width * (survivors + leaving / 2)
            survivors += leaving
            let middle = AgeScale.start(of: bucket) + width / 2
            guesses[bucket] = Self.firstGuesses[useClass] / (middle + Double(heldCount) / 4)
            seen += uses[first + bucket]
            guessed += waited[bucket] * guesses[bucket]
        }
        var rates = guesses
        var total = 0.0
        var guessedTotal = 0.0
        for bucket in 0..<Self.buckets {
            let width = AgeScale.width(of: bucket)
            let guess = guesses[bucket] * seen / guessed
            let weight = Self.guessWeight * Self.survival(guessedTotal) * width
            rates[bucket] = (uses[first + bucket] + weight * guess) / (waited[bucket] + weight)
            guessedTotal += guess * width
            expected[first + bucket] = total + rates[bucket] * width / 2
            total += rates[bucket] * width
        }
        for bucket in 0..<Self.buckets {
            let worth = Self.worth(from: bucket, rates: rates)
            for (step, ratio) in Self.ratioSteps.enumerated() {
                let list = useClass * Self.ratioSteps.count + step
                worths[list * Self.buckets + bucket] = worth * ratio
            }
        }
    }

    /// The best rate of uses per tick of waiting, over all stretches that begin with `first`.
    private static func worth(from first: Int, rates: [Double]) -> Double {
        var best = 0.0
        var uses = 0.0
        var ticks = 0.0
        var share = 1.0
        for bucket in first..<buckets {
            let width = AgeScale.width(of: bucket)
            let left = share * survival(rates[bucket] * width)
            uses += share - left
            ticks += rates[bucket] > 0 ? (share - left) / rates[bucket] : share * width
            share = left
            best = max(best, uses / ticks)
        }
        return best
    }

    /// The share that is not used again when `uses` are expected: exp(-uses), within 7 % below 1.
    private static func survival(_ uses: Double) -> Double {
        let second = 1 + uses / 8
        let fourth = second * second
        let eighth = fourth * fourth
        return 1 / (eighth * eighth)
    }

    private mutating func learnRatios(ofFactor index: Int) {
        let levels = UseKind.levels(ofFactor: index)
        let seen = levels.reduce(0) { $0 + levelUses[$1] }
        let expected = levels.reduce(0) { $0 + levelExpected[$1] + levelWaiting[$1] }
        // The curves carry the mean; the ratios tell only what differs from it.
        let mean = expected > 0 ? seen / expected : 1
        for level in levels {
            let expected = (levelExpected[level] + levelWaiting[level]) * mean
            let ratio = (levelUses[level] + Self.ratioWeight) / (expected + Self.ratioWeight)
            ratios[level] = min(8, max(1.0 / 32, ratio))
        }
    }
}
