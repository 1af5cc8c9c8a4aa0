package import Blocks

/// The arguments of one request: small ones collected in one buffer, large ones named by their length only.
///
/// Argument 0 is the verb. The same value is refilled for every request of a connection.
package struct RequestArguments: Sendable {
    /// Holds the collected arguments, and between them what framed those that came together.
    package private(set) var storage: [UInt8] = []
    /// Where each argument lies in `storage`; nowhere, for a payload.
    private var places: [BytePlace] = []
    /// Bytes of all collected arguments together.
    package private(set) var collectedByteCount = 0
    private var payloads: [(index: Int, byteCount: Int)] = []
    private var openStart = 0
    /// How many arguments at the front are not looked at any more.
    private var skippedCount = 0

    /// Creates an empty list.
    package init() {}

    /// Number of arguments, the verb included.
    package var count: Int { places.count - skippedCount }

    /// The same request without its first arguments, which are at most `count`.
    package func skipping(_ count: Int) -> RequestArguments {
        var rest = self
        rest.skippedCount = min(skippedCount + max(0, count), places.count)
        return rest
    }

    /// Where the arguments of a range lie in `storage`; nowhere, for payloads.
    package func places(of indices: Range<Int>) -> ArraySlice<BytePlace> {
        let range = indices.clamped(to: 0..<count)
        return places[range.lowerBound + skippedCount..<range.upperBound + skippedCount]
    }

    /// Whether an argument was announced as a payload.
    package var hasPayloads: Bool { !payloads.isEmpty }

    /// The collected argument at `index`, borrowed; empty for a payload and outside `0..<count`.
    package subscript(index: Int) -> Span<UInt8> {
        @_lifetime(borrow self) borrowing get { storage.span.extracting(range(at: index)) }
    }

    /// A copy of the collected argument at `index`; empty for a payload and outside `0..<count`.
    package func bytes(at index: Int) -> [UInt8] {
        Array(storage[range(at: index)])
    }

    /// The collected argument at `index` as text; bytes that are not UTF-8 are replaced.
    package func text(at index: Int) -> String {
        String(decoding: storage[range(at: index)], as: UTF8.self)
    }

    /// The length in bytes when the argument at `index` was announced as a payload, `nil` when it was collected.
    package func payloadByteCount(at index: Int) -> Int? {
        let index = index + skippedCount
        // They come in order: half the rest goes at each step.
        var low = 0
        var high = payloads.count
        while low < high {
            let middle = (low + high) / 2
            if payloads[middle].index < index { low = middle + 1 } else { high = middle }
        }
        return low < payloads.count && payloads[low].index == index ? payloads[low].byteCount : nil
    }

    /// The length in bytes of the argument at `index`, collected or not.
    package func byteCount(at index: Int) -> Int {
        payloadByteCount(at: index) ?? range(at: index).count
    }

    /// Whether the argument at `index` is `word`, ASCII letters compared without case.
    package func matches(_ word: StaticString, at index: Int) -> Bool {
        let range = range(at: index)
        guard range.count == word.utf8CodeUnitCount, payloadByteCount(at: index) == nil else { return false }
        // SAFETY: a static string's code units live for ever, and their count is the one compared above.
        let letters = unsafe UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        return unsafe zip(storage[range], letters).allSatisfy { lowercase($0) == lowercase($1) }
    }

    /// The argument at `index` as a signed decimal integer, as strict as Redis: no sign but `-`, no leading zeros.
    package func integer(at index: Int) -> Int? {
        guard (0..<count).contains(index) else { return nil }
        return DecimalInteger.parse(self[index])
    }

    mutating func append(_ bytes: Span<UInt8>) {
        // SAFETY: the bytes are copied before the call returns.
        unsafe bytes.withUnsafeBufferPointer { unsafe storage.append(contentsOf: $0) }
    }

    mutating func endArgument() {
        collectedByteCount += storage.count - openStart
        places.append(BytePlace(openStart, storage.count))
        openStart = storage.count
    }

    /// Takes bulk strings that came whole and together: one copy of all, with what frames them.
    ///
    /// Stops before one that is not here whole, is longer than `byteCountMax` or not well-formed, and at `countMax`
    /// arguments or `collectedByteCountMax` collected bytes; returns how many bytes it took.
    mutating func appendWhole(
        _ bytes: Span<UInt8>,
        from start: Int,
        byteCountMax: Int,
        countMax: Int,
        collectedByteCountMax: Int
    ) -> Int {
        let shift = storage.count - start
        var end = start
        while places.count < countMax {
            let roomLeft = min(byteCountMax, collectedByteCountMax - collectedByteCount)
            guard let place = WholeBulk.find(in: bytes, at: end, byteCountMax: roomLeft) else { break }
            places.append(BytePlace(place.lowerBound + shift, place.upperBound + shift))
            collectedByteCount += place.count
            end = place.upperBound + 2
        }
        if end > start { append(bytes.extracting(start..<end)) }
        openStart = storage.count
        return end - start
    }

    /// Makes room for `count` arguments that have `byteCount` bytes with what frames them.
    mutating func reserveCapacity(count: Int, byteCount: Int) {
        places.reserveCapacity(count)
        storage.reserveCapacity(byteCount)
    }

    mutating func appendPayload(byteCount: Int) {
        payloads.append((index: places.count, byteCount: byteCount))
        places.append(BytePlace(storage.count, storage.count))
    }

    /// Removes all and keeps a little memory for the next request.
    mutating func removeAll() {
        storage.removeAll(keepingCapacity: storage.capacity <= 4096)
        places.removeAll(keepingCapacity: places.capacity <= 256)
        payloads.removeAll()
        collectedByteCount = 0
        openStart = 0
    }

    private func range(at index: Int) -> Range<Int> {
        guard index >= 0, index < count else { return 0..<0 }
        return places[index + skippedCount].range
    }
}

/// The byte with `A` to `Z` made small.
@inline(__always)
func lowercase(_ byte: UInt8) -> UInt8 {
    (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
}
