/// A set of numbers as ascending, disjoint ranges; cheap where numbers come in long runs.
struct NumberRanges: Equatable, Sendable {
    private(set) var ranges: [ClosedRange<UInt32>] = []

    /// An empty set.
    init() {}

    /// Takes ranges from outside; `nil` unless they ascend and are disjoint.
    init?(ascending ranges: [ClosedRange<UInt32>]) {
        for (left, right) in zip(ranges, ranges.dropFirst()) where left.upperBound >= right.lowerBound {
            return nil
        }
        self.ranges = ranges
    }

    /// Every number, ascending.
    var numbers: some Sequence<UInt32> { ranges.lazy.flatMap(\.self) }

    func contains(_ number: UInt32) -> Bool { ranges.contains { $0.contains(number) } }

    /// The lowest number above `number`.
    func next(after number: UInt32) -> UInt32? {
        for range in ranges where range.upperBound > number { return max(range.lowerBound, number + 1) }
        return nil
    }

    /// Adds a number above all that are there; lower ones are taken to be there.
    mutating func append(_ number: UInt32) {
        guard let last = ranges.last else {
            ranges = [number...number]
            return
        }
        guard number > last.upperBound else { return }
        if number - last.upperBound == 1 {
            ranges[ranges.count - 1] = last.lowerBound...number
        } else {
            ranges.append(number...number)
        }
    }

    mutating func remove(_ number: UInt32) {
        guard let index = ranges.firstIndex(where: { $0.contains(number) }) else { return }
        let range = ranges.remove(at: index)
        if range.upperBound > number { ranges.insert((number + 1)...range.upperBound, at: index) }
        if range.lowerBound < number { ranges.insert(range.lowerBound...(number - 1), at: index) }
    }

    /// Forgets the lowest ranges until `count` are left.
    mutating func keepHighest(_ count: Int) {
        if ranges.count > count { ranges.removeFirst(ranges.count - count) }
    }

    /// Takes in the gaps between the lowest ranges until `count` are left.
    mutating func coarsen(to count: Int) {
        while ranges.count > max(1, count) {
            let first = ranges.removeFirst()
            ranges[0] = first.lowerBound...ranges[0].upperBound
        }
    }
}
