/// Finds bulk strings that have arrived whole, the usual case, without a state machine's steps.
enum WholeBulk {
    /// Most digits of a length that is looked at: longer ones are the state machine's.
    private static let digitCountMax = 5

    /// Where the content of the bulk string lies that begins at `start`: `$3\r\nGET\r\n`.
    ///
    /// `nil` unless all of it is there, in the form that Redis accepts, and of at most `byteCountMax` bytes; the two bytes
    /// behind the content are its line end.
    @inline(__always)
    static func find(in bytes: Span<UInt8>, at start: Int, byteCountMax: Int) -> Range<Int>? {
        let end = bytes.count
        guard start + 4 <= end, bytes[start] == UInt8(ascii: "$") else { return nil }
        var position = start + 1
        var byteCount = 0
        let digitEnd = min(end, position + digitCountMax)
        while position < digitEnd {
            let digit = bytes[position] &- UInt8(ascii: "0")
            guard digit <= 9 else { break }
            byteCount = byteCount * 10 + Int(digit)
            position += 1
        }
        let digitCount = position - start - 1
        guard digitCount > 0, digitCount == 1 || bytes[start + 1] != UInt8(ascii: "0"),
            byteCount <= byteCountMax
        else { return nil }
        let first = position + 2
        guard first + byteCount + 2 <= end, isLineEnd(bytes, position), isLineEnd(bytes, first + byteCount)
        else {
            return nil
        }
        return first..<first + byteCount
    }

    @inline(__always)
    private static func isLineEnd(_ bytes: Span<UInt8>, _ position: Int) -> Bool {
        bytes[position] == 13 && bytes[position + 1] == 10
    }
}
