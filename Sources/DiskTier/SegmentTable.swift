import Synchronization

/// The segments held, oldest first; units are numbered upwards through them.
final class SegmentTable: Sendable {
    private let segments: Mutex<[Segment]>

    init(_ segments: [Segment]) {
        self.segments = Mutex(segments.sorted { $0.number < $1.number })
    }

    var all: [Segment] { segments.withLock { $0 } }
    var byteCount: Int { all.reduce(0) { $0 + $1.byteCount } }
    var newest: Segment? { segments.withLock { $0.last } }

    /// Tables of all segments.
    var unitCount: Int { all.reduce(0) { $0 + $1.units.count } }

    /// The scattered segment with the most tables.
    var mostScattered: Segment? {
        all.filter(\.isScattered).max { $0.units.count < $1.units.count }
    }

    /// A segment with a unit that was given up.
    var disowned: Segment? { all.first(where: \.isDisowned) }

    /// The segment that is to go next: one that is damaged, else the oldest.
    var nextVictim: Segment? {
        let segments = all
        return segments.first { $0.isCondemned } ?? segments.first
    }

    /// The segment that holds a unit; `nil` when it was dropped.
    func segment(ofUnit unit: UInt32) -> Segment? {
        segments.withLock { segments in
            // Binary search for the last segment whose first unit is not after `unit`.
            var low = 0
            var high = segments.count
            while low < high {
                let middle = (low + high) / 2
                if segments[middle].firstUnit ?? .max <= unit { low = middle + 1 } else { high = middle }
            }
            return low > 0 ? segments[low - 1] : nil
        }
    }

    func append(_ segment: Segment) {
        segments.withLock { segments in
            segments.append(segment)
            segments.sort { $0.number < $1.number }
        }
    }

    func remove(_ segment: Segment) { segments.withLock { $0.removeAll { $0 === segment } } }

    func removeAll() { segments.withLock { $0 = [] } }
}
