/// The bounds of one request, checked before any memory is taken for it.
package struct RequestLimits: Sendable, Hashable {
    /// Most arguments of one command, the verb included.
    package var argumentCountMax: Int
    /// Largest bulk string, bytes (Redis's proto-max-bulk-len).
    package var bulkByteCountMax: Int
    /// Longest line: an inline command or a length line, bytes.
    package var lineByteCountMax: Int
    /// Bulk strings longer than this, bytes, are announced as payloads instead of being collected.
    package var smallByteCountMax: Int
    /// Most bytes of all collected arguments of one command together.
    package var collectedByteCountMax: Int

    /// Creates limits; the defaults are Redis's where Redis has one.
    package init(
        argumentCountMax: Int = 40_000,
        bulkByteCountMax: Int = 512 << 20,
        lineByteCountMax: Int = 64 << 10,
        smallByteCountMax: Int = 16 << 10,
        collectedByteCountMax: Int = 16 << 20
    ) {
        self.argumentCountMax = argumentCountMax
        self.bulkByteCountMax = bulkByteCountMax
        self.lineByteCountMax = lineByteCountMax
        self.smallByteCountMax = smallByteCountMax
        self.collectedByteCountMax = collectedByteCountMax
    }
}
