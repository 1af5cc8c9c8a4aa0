/// The keys of one request, in order, in one buffer: appended once, read many times, free to leave the connection.
public struct KeyBatch: Sendable, Hashable {
    private var storage: [UInt8] = []
    private var ends: [Int] = []

    /// An empty batch.
    public init() {}

    /// A batch of given keys.
    public init(_ keys: some Sequence<BlockKey>) {
        for key in keys { append(key.span) }
    }

    /// A batch of the keys of a chain's blocks, without a `BlockKey` for each.
    public init(_ digests: [BlockDigest]) {
        storage.reserveCapacity(digests.count * Digest256.byteCount)
        ends.reserveCapacity(digests.count)
        for digest in digests {
            digest.append(to: &storage)
            ends.append(storage.count)
        }
    }

    /// An empty batch with room for keys.
    public init(keyCapacity: Int, byteCapacity: Int) {
        storage.reserveCapacity(byteCapacity)
        ends.reserveCapacity(keyCapacity)
    }

    /// Number of keys.
    public var count: Int { ends.count }

    /// Whether there are none.
    public var isEmpty: Bool { ends.isEmpty }

    /// Adds a key at the end.
    ///
    /// The caller has checked its length: 1 to `Limits.keyByteCountMax` bytes.
    public mutating func append(_ key: RawSpan) {
        // SAFETY: the bytes are copied before the call returns.
        unsafe key.withUnsafeBytes { unsafe storage.append(contentsOf: $0) }
        ends.append(storage.count)
    }

    /// Borrows the key at `index`.
    ///
    /// Traps outside `0..<count`: a mistake of ours.
    public subscript(index: Int) -> RawSpan {
        @_lifetime(borrow self) borrowing get {
            let start = index == 0 ? 0 : ends[index - 1]
            // SAFETY: bytes have no padding that could be read uninitialized.
            return unsafe storage.span.bytes.extracting(start..<ends[index])
        }
    }

    /// The key at `index` as an array.
    public func bytes(at index: Int) -> [UInt8] {
        let start = index == 0 ? 0 : ends[index - 1]
        return Array(storage[start..<ends[index]])
    }

    /// Removes all keys and keeps the memory.
    public mutating func removeAll() {
        storage.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
    }
}
