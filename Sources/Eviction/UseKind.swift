/// What is known of one use of a block that may tell when the next one comes.
///
/// The classes are coarse on purpose: each has to be learned from few uses.
struct UseKind: Hashable, Sendable {
    /// Properties that multiply a curve, each with a few levels:
    /// 0. how long ago the use before was: short pauses follow short pauses;
    /// 1. how long the request was: long prompts are continued less often;
    /// 2. whether the block ended its request: a last block is rarely the same in the next turn.
    static let factorCount = 3

    /// Levels of all factors together, sixteen apart.
    static let levelCount = 48
    /// Classes by the number of uses: 1, 2, 3-4, 5-8, 9-14, more.
    static let useClassCount = 6

    /// Three bits of class, four of pause, four of length, four of ending.
    private let bits: UInt16

    /// Describes a use.
    ///
    /// - Parameters:
    ///   - useCount: Uses so far, this one included.
    ///   - pause: Ticks since the use before; not looked at for a first use.
    ///   - place: Where in its request, if known.
    init(useCount: UInt8, pause: UInt32, place: ChainPlace?) {
        let useClass: UInt16 =
            switch useCount {
            case ...1: 0
            case 2: 1
            case 3...4: 2
            case 5...8: 3
            case 9...14: 4
            default: 5
            }
        var pauseLevel: UInt16 = 0
        if useClass > 0 { pauseLevel = 1 + min(8, max(8, Self.logarithm(pause)) - 8) }
        var lengthLevel: UInt16 = 0
        var ending: UInt16 = 0
        if let place {
            lengthLevel = 1 + min(7, Self.logarithm(place.requestBlockCount))
            ending = place.isLast ? 1 : 0
        }
        bits = useClass | pauseLevel << 3 | lengthLevel << 7 | ending << 11
    }

    /// The class by number of uses.
    var useClass: Int { Int(bits & 7) }

    /// The level of a factor, as an index into a table of all levels.
    func level(_ factor: Int) -> Int { factor * 16 + Int(bits >> UInt16(3 + 4 * factor) & 15) }

    /// The levels of one factor in a table of all.
    static func levels(ofFactor factor: Int) -> Range<Int> { (factor * 16)..<(factor * 16 + 16) }

    private static func logarithm(_ value: UInt32) -> UInt16 {
        UInt16(truncatingIfNeeded: 31 - max(1, value).leadingZeroBitCount)
    }
}
