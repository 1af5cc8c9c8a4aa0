/// Where a walk over all entries of all shards stands.
struct WalkPosition {
    /// Which shard.
    var shard = 0
    /// The next entry in it.
    var entry = 0

    /// The start.
    init() {}

    /// Reads a cursor that `cursor` made; anything else is some position too, and harmless.
    init(cursor: UInt64) {
        shard = Int(cursor >> 32)
        entry = Int(cursor & 0xFFFF_FFFF)
    }

    /// The position as one number; 0 at the start.
    var cursor: UInt64 { UInt64(shard) << 32 | UInt64(entry) }

    /// Goes on to `next` in the same shard, or to the next shard when it is `nil`.
    mutating func advance(to next: Int?) {
        if let next {
            entry = next
        } else {
            shard += 1
            entry = 0
        }
    }
}
