/// Where one of many byte strings lies in the buffer that they share.
package struct BytePlace: Hashable, Sendable, BitwiseCopyable {
    /// Offset of the first byte.
    package var start: UInt32
    /// Offset behind the last byte.
    package var end: UInt32

    /// Names the bytes from `start` up to `end`; both are below 4 GiB.
    @inline(__always)
    package init(_ start: Int, _ end: Int) {
        self.start = UInt32(truncatingIfNeeded: start)
        self.end = UInt32(truncatingIfNeeded: end)
    }

    /// The offsets as a range.
    @inline(__always)
    package var range: Range<Int> { Int(start)..<Int(end) }
    /// Bytes of the string.
    @inline(__always)
    package var byteCount: Int { Int(end) - Int(start) }
}
