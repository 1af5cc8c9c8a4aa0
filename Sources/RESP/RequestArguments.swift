/// The arguments of one request: small ones collected in one buffer, large ones named by their length only.
///
/// Argument 0 is the verb. The same value is refilled for every request of a connection.
package struct RequestArguments: Sendable {
    private var storage: [UInt8] = []
    private var ends: [Int] = []
    private var payloads: [(index: Int, byteCount: Int)] = []

    /// Creates an empty list.
    package init() {}

    /// Number of arguments, the verb included.
    package var count: Int { ends.count }

    /// Bytes of all collected arguments together.
    package var collectedByteCount: Int { storage.count }

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
        payloads.first { $0.index == index }?.byteCount
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
        ends.append(storage.count)
    }

    mutating func appendPayload(byteCount: Int) {
        payloads.append((index: ends.count, byteCount: byteCount))
        ends.append(storage.count)
    }

    /// Removes all and keeps a little memory for the next request.
    mutating func removeAll() {
        storage.removeAll(keepingCapacity: storage.capacity <= 4096)
        ends.removeAll(keepingCapacity: ends.capacity <= 256)
        payloads.removeAll()
    }

    private func range(at index: Int) -> Range<Int> {
        guard ends.indices.contains(index) else { return 0..<0 }
        return (index == 0 ? 0 : ends[index - 1])..<ends[index]
    }
}

/// The byte with `A` to `Z` made small.
@inline(__always)
func lowercase(_ byte: UInt8) -> UInt8 {
    (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
}
