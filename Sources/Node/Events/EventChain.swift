internal import Blocks

/// The keys of a connection's last match, in which the blocks that it puts next find the one before them.
struct EventChain {
    private let prefix: KeyPrefix
    private let keys: KeyBatch
    private var next: Int

    /// Keys looked at for one block.
    private static let reach = 64

    /// The chain of a match that found the first `matchedCount` keys.
    init(_ keys: KeyBatch, prefix: KeyPrefix, matchedCount: Int) {
        self.keys = keys
        self.prefix = prefix
        next = matchedCount
    }

    /// The key before `key`, which is one of the next of the chain; `nil` when it is not.
    mutating func predecessor(of key: [UInt8], prefix: KeyPrefix) -> [UInt8]? {
        guard prefix == self.prefix, next < keys.count else { return nil }
        for index in next..<min(next + Self.reach, keys.count) {
            guard keys[index].byteCount == key.count, keys.bytes(at: index) == key else { continue }
            next = index + 1
            return index > 0 ? keys.bytes(at: index - 1) : nil
        }
        return nil
    }
}
