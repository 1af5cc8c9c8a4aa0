/// The last messages, by sequence number, within a number of messages and of bytes.
package struct ReplayRing<Message: Sendable>: Sendable {
    private var slots: [(message: Message, byteCount: Int)?]
    private var head = 0
    private let byteCountMax: Int
    /// Messages held.
    package private(set) var count = 0
    /// Bytes of the messages held.
    package private(set) var byteCount = 0
    /// The number that the next message gets.
    package private(set) var nextSequence: UInt64 = 0

    /// An empty ring.
    package init(countMax: Int, byteCountMax: Int) {
        slots = Array(repeating: nil, count: max(1, countMax))
        self.byteCountMax = byteCountMax
    }

    /// The number of the oldest message held; `nextSequence` when there is none.
    package var firstSequence: UInt64 { nextSequence - UInt64(count) }

    /// Adds a message, at the cost of the oldest where there is no room.
    ///
    /// A message that is larger than the whole ring leaves it empty.
    package mutating func append(_ message: Message, byteCount: Int) {
        while count > 0, count == slots.count || self.byteCount + byteCount > byteCountMax { dropFirst() }
        nextSequence += 1
        guard byteCount <= byteCountMax else { return }
        slots[(head + count) % slots.count] = (message, byteCount)
        count += 1
        self.byteCount += byteCount
    }

    /// The message of a number, or `nil` when it is not held.
    package subscript(sequence: UInt64) -> Message? {
        guard sequence >= firstSequence, sequence < nextSequence else { return nil }
        return slots[(head + Int(sequence - firstSequence)) % slots.count]?.message
    }

    private mutating func dropFirst() {
        byteCount -= slots[head]?.byteCount ?? 0
        slots[head] = nil
        head = (head + 1) % slots.count
        count -= 1
    }
}
