/// Where the payloads of a load go: memory that the caller owns.
///
/// Asked on a thread of the client's, when the length of a payload is known. The memory is written until the load
/// returns and never after.
public protocol PayloadSink: AnyObject, Sendable {
    /// Memory for the payload of the key at `index`: exactly `byteCount` bytes, or `nil` to do without it. Memory of
    /// any other size counts as `nil`.
    func region(forKeyAt index: Int, byteCount: Int) -> UnsafeMutableRawBufferPointer?
}

/// A sink of one region for each key; a payload of another length than its region is not loaded.
@safe final class RegionSink: PayloadSink, @unchecked Sendable {
    // SAFETY of @unchecked Sendable: never changes; the caller lends the memory to the client for the call.
    private let regions: [UnsafeMutableRawBufferPointer]

    init(_ regions: [UnsafeMutableRawBufferPointer]) {
        unsafe self.regions = regions
    }

    /// The length that the payload of a key must have.
    func byteCount(forKeyAt index: Int) -> Int {
        unsafe regions.indices.contains(index) ? regions[index].count : 0
    }

    func region(forKeyAt index: Int, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        guard unsafe regions.indices.contains(index) else { return nil }
        return unsafe regions[index].count == byteCount ? regions[index] : nil
    }
}
