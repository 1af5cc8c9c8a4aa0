/// How often values were seen lately, in four bits each: a count-min sketch whose counters are halved in time.
///
/// Cormode and Muthukrishnan 2005, aged as in Einziger, Friedman, Manes: "TinyLFU", ACM ToS 2017.
struct FrequencySketch {
    /// Sixteen counters of four bits a word.
    private var words: [UInt64]
    private let indexMask: UInt64
    private let additionCountMax: Int
    private var additionCount = 0

    /// A sketch for about `count` values of interest: 4 bytes each.
    init(count: Int) {
        var wordCount = 8
        while wordCount * 2 < count { wordCount *= 2 }
        words = [UInt64](repeating: 0, count: wordCount)
        indexMask = UInt64(wordCount) * 16 - 1
        additionCountMax = 10 * max(8, count)
    }

    /// Bytes of the counters.
    var byteCount: Int { words.count * 8 }

    /// Counts a value; one that is seen for the fifteenth time stays at fifteen.
    mutating func add(_ bits: UInt64) {
        var hash = bits
        for _ in 0..<4 {
            let (word, shift) = next(&hash)
            if words[word] >> shift & 15 < 15 { words[word] &+= 1 << shift }
        }
        additionCount += 1
        if additionCount >= additionCountMax { halve() }
    }

    /// How often a value was seen, 0 to 15; rather too much than too little.
    func estimate(_ bits: UInt64) -> UInt64 {
        var hash = bits
        var least: UInt64 = 15
        for _ in 0..<4 {
            let (word, shift) = next(&hash)
            least = min(least, words[word] >> shift & 15)
        }
        return least
    }

    private func next(_ hash: inout UInt64) -> (word: Int, shift: UInt64) {
        hash = (hash ^ hash >> 29) &* 0x9e37_79b9_7f4a_7c15
        let counter = hash >> 20 & indexMask
        return (Int(counter >> 4), (counter & 15) * 4)
    }

    private mutating func halve() {
        for index in words.indices { words[index] = words[index] >> 1 & 0x7777_7777_7777_7777 }
        additionCount /= 2
    }
}
