/// The keys of one request, in order, in one buffer: appended once, read many times, free to leave the connection.
public struct KeyBatch: Sendable {
    private var storage: [UInt8] = []
    private var places: ArraySlice<BytePlace> = []

    /// An empty batch.
    public init() {}

    /// A batch of given keys.
    public init(_ keys: some Sequence<BlockKey>) {
        for key in keys { append(key.span) }
    }

    /// A batch of keys that are known to have 1 to `Limits.keyByteCountMax` bytes.
    package init(validated keys: [[UInt8]]) {
        for key in keys { unsafe append(key.span.bytes) }
    }

    /// A batch of the keys of a chain's blocks, without a `BlockKey` for each.
    public init(_ digests: [BlockDigest]) {
        self.init(keyCapacity: digests.count, byteCapacity: digests.count * Digest256.byteCount)
        for digest in digests {
            let start = storage.count
            digest.append(to: &storage)
            places.append(BytePlace(start, storage.count))
        }
    }

    /// An empty batch with room for keys.
    public init(keyCapacity: Int, byteCapacity: Int) {
        storage.reserveCapacity(byteCapacity)
        places.reserveCapacity(keyCapacity)
    }

    /// A batch of keys that lie in a buffer already, which it shares.
    ///
    /// The caller has checked that each place lies in the buffer and has 1 to `Limits.keyByteCountMax` bytes.
    package init(sharing storage: [UInt8], places: ArraySlice<BytePlace>) {
        self.storage = storage
        self.places = places
    }

    /// Number of keys.
    public var count: Int { places.count }

    /// Whether there are none.
    public var isEmpty: Bool { places.isEmpty }

    /// Adds a key at the end.
    ///
    /// The caller has checked its length: 1 to `Limits.keyByteCountMax` bytes.
    public mutating func append(_ key: RawSpan) {
        let start = storage.count
        // SAFETY: the bytes are copied before the call returns.
        unsafe key.withUnsafeBytes { unsafe storage.append(contentsOf: $0) }
        places.append(BytePlace(start, storage.count))
    }

    /// Borrows the key at `index`.
    ///
    /// Traps outside `0..<count`: a mistake of ours.
    public subscript(index: Int) -> RawSpan {
        @_lifetime(borrow self) borrowing get {
            let range = places[places.startIndex + index].range
            // SAFETY: bytes have no padding that could be read uninitialized.
            return unsafe storage.span.bytes.extracting(range)
        }
    }

    /// The key at `index` as an array.
    public func bytes(at index: Int) -> [UInt8] {
        Array(storage[places[places.startIndex + index].range])
    }

    /// The keys at some places, in that order, in the same memory.
    ///
    /// Traps outside `0..<count`: a mistake of ours.
    package func selecting(_ indices: [Int]) -> KeyBatch {
        let first = places.startIndex
        return KeyBatch(sharing: storage, places: indices.map { places[first + $0] }[...])
    }

    /// Removes all keys and keeps the memory.
    public mutating func removeAll() {
        storage.removeAll(keepingCapacity: true)
        places.removeAll(keepingCapacity: true)
    }
}

extension KeyBatch: Hashable {
    /// Equality of the keys, in order, wherever they lie.
    public static func == (left: KeyBatch, right: KeyBatch) -> Bool {
        left.count == right.count && (0..<left.count).allSatisfy { left.bytes(at: $0) == right.bytes(at: $0) }
    }

    /// Hashes the keys' lengths and bytes.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(count)
        for index in 0..<count { hasher.combine(bytes(at: index)) }
    }
}
