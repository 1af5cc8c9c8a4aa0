internal import Blocks
internal import RESP

extension RequestArguments {
    /// The argument at `index` as a key, borrowed; see `isKey(at:)`.
    @_lifetime(borrow self)
    func key(at index: Int) -> RawSpan {
        // Bytes are bytes: the view is only called unsafe for element types with invalid patterns.
        unsafe self[index].bytes
    }

    /// Whether the argument at `index` can name a block: collected, 1 to 512 bytes.
    func isKey(at index: Int) -> Bool {
        payloadByteCount(at: index) == nil && (1...Limits.keyByteCountMax).contains(self[index].count)
    }

    /// Bytes of a key to make room for: a hash and a few letters.
    private static let usualKeyByteCount = 48

    /// The arguments of a range as one batch of keys that shares their memory; those that can be no key are left out.
    func keys(at indices: Range<Int>) -> KeyBatch {
        let places = places(of: indices)
        guard !hasPayloads, places.allSatisfy({ (1...Limits.keyByteCountMax).contains($0.byteCount) }) else {
            return keys(at: Array(indices.clamped(to: 0..<count)))
        }
        return KeyBatch(sharing: storage, places: places)
    }

    /// The arguments of `indices` as one batch of keys; those that can be no key are left out.
    func keys(at indices: some Sequence<Int>) -> KeyBatch {
        let keyCount = indices.underestimatedCount
        var batch = KeyBatch(keyCapacity: keyCount, byteCapacity: keyCount * Self.usualKeyByteCount)
        for index in indices where isKey(at: index) { batch.append(key(at: index)) }
        return batch
    }
}
