import Blocks
import Glibc
import Synchronization

/// A small file that says which units were reported durable, so that a start can tell when one is missing, and which
/// numbers must not be used again.
///
/// Two slots of 4 KiB are written in turn and synced: a torn write costs the older state, never both, and no file is
/// made or renamed for each unit.
final class DurableMark: Sendable {
    /// What the file says.
    struct Contents: Equatable {
        /// Units that must be there.
        var units = NumberRanges()
        /// Units that hid something older: deleted, cleared or replaced it. May name some that did not.
        var hidingUnits = NumberRanges()
        /// Blocks of units before this one are not to be believed: a lost unit may have hidden them.
        var distrustedBefore: UInt32 = 0
        /// The lowest unit number never used.
        var nextUnit: UInt32 = 1
        /// The lowest segment number never used.
        var nextSegment: UInt32 = 1

        /// Adds a unit; numbers only ever grow.
        mutating func add(_ unit: UInt32, hides: Bool) {
            units.append(unit)
            units.keepHighest(DurableMark.rangeCountMax)
            if hides {
                hidingUnits.append(unit)
                hidingUnits.coarsen(to: DurableMark.rangeCountMax)
            }
            nextUnit = max(nextUnit, unit &+ 1)
        }

        /// Removes the units of a segment that is about to be dropped.
        mutating func remove(_ numbers: some Sequence<UInt32>) {
            for number in numbers {
                units.remove(number)
                hidingUnits.remove(number)
            }
        }
    }

    /// Two sets of that many ranges of 8 bytes fit a slot beside the other fields.
    private static let rangeCountMax = 250
    private static let slotByteCount = 4 << 10
    private static let magic: UInt64 = 0x314b_5241_4d44_524c  // "LRDMARK1"

    private let descriptor: Int32
    // Held while the file is written: only the one writer of the tier ever does.
    private let state: Mutex<State>

    private struct State {
        var generation: UInt64 = 0
        var contents = Contents()
        /// What the file says; `nil` before the first write.
        var written: Contents?
    }

    /// Opens or makes the file.
    init(path: String, directory: String) throws(CacheError) {
        descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw CacheError(.storageFailure, "cannot open \(path): \(SystemError())")
        }
        var newest: (generation: UInt64, contents: Contents)?
        for slot in 0..<2 {
            var bytes = [UInt8](repeating: 0, count: Self.slotByteCount)
            // SAFETY: pread fills at most the array's bytes.
            let count = unsafe pread(descriptor, &bytes, bytes.count, off_t(slot * Self.slotByteCount))
            guard count == bytes.count, let found = unsafe Self.decode(bytes.span.bytes) else { continue }
            if found.generation > newest?.generation ?? 0 { newest = found }
        }
        var state = State()
        if let newest {
            state = State(generation: newest.generation, contents: newest.contents, written: newest.contents)
        } else {
            // Both slots exist from the start, so that a later sync changes no metadata.
            try Self.write(&state, to: descriptor)
            try Self.write(&state, to: descriptor)
            try DataDirectory.sync(directory)
        }
        self.state = Mutex(state)
    }

    deinit { close(descriptor) }

    /// Changes the contents; durable when this returns. A change that could not be written is kept for the next call.
    func update(_ change: (inout Contents) -> Void) throws(CacheError) {
        try state.withLock { state throws(CacheError) in
            change(&state.contents)
            if state.contents != state.written { try Self.write(&state, to: descriptor) }
        }
    }

    /// What the file says, or will when it can be written.
    var contents: Contents { state.withLock { $0.contents } }

    private static func write(_ state: inout State, to descriptor: Int32) throws(CacheError) {
        let bytes = encode(state.contents, generation: state.generation + 1)
        let offset = off_t(Int((state.generation + 1) % 2) * slotByteCount)
        // SAFETY: pwrite reads exactly the array's bytes.
        let count = unsafe pwrite(descriptor, bytes, bytes.count, offset)
        guard count == bytes.count, fdatasync(descriptor) == 0 else {
            throw CacheError(.storageFailure, "cannot write the durable mark: \(SystemError())")
        }
        state.generation += 1
        state.written = state.contents
    }

    private static func encode(_ contents: Contents, generation: UInt64) -> [UInt8] {
        var fields = FieldWriter()
        fields.append(magic)
        fields.append(generation)
        fields.append(contents.nextUnit)
        fields.append(contents.nextSegment)
        fields.append(contents.distrustedBefore)
        for set in [contents.units, contents.hidingUnits] {
            fields.append(UInt32(truncatingIfNeeded: set.ranges.count))
            for range in set.ranges {
                fields.append(range.lowerBound)
                fields.append(range.upperBound)
            }
        }
        while fields.bytes.count < slotByteCount - 8 { fields.append(UInt8(0)) }
        fields.append(unsafe checksum(fields.bytes.span.bytes))
        return fields.bytes
    }

    private static func decode(_ bytes: RawSpan) -> (generation: UInt64, contents: Contents)? {
        var fields = FieldReader(bytes)
        var contents = Contents()
        guard fields.next(UInt64.self) == magic else { return nil }
        let generation: UInt64 = fields.next()
        contents.nextUnit = fields.next()
        contents.nextSegment = fields.next()
        contents.distrustedBefore = fields.next()
        guard let units = ranges(&fields), let hidingUnits = ranges(&fields) else { return nil }
        contents.units = units
        contents.hidingUnits = hidingUnits
        var tail = FieldReader(bytes.extracting(last: 8))
        guard tail.next(UInt64.self) == checksum(bytes.extracting(first: bytes.byteCount - 8)) else {
            return nil
        }
        return (generation, contents)
    }

    private static func ranges(_ fields: inout FieldReader) -> NumberRanges? {
        let count: UInt32 = fields.next()
        guard count <= rangeCountMax else { return nil }
        var ranges: [ClosedRange<UInt32>] = []
        for _ in 0..<count {
            let lower: UInt32 = fields.next()
            let upper: UInt32 = fields.next()
            guard lower <= upper else { return nil }
            ranges.append(lower...upper)
        }
        return NumberRanges(ascending: ranges)
    }

    private static func checksum(_ bytes: RawSpan) -> UInt64 {
        unsafe bytes.withUnsafeBytes { unsafe PayloadChecksum.of($0) }
    }
}
