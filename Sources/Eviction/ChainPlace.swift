/// Where a block stood in the request that used it: what a store of prefixes knows and a general cache does not.
///
/// Known for blocks that were asked for together with their whole chain, as `KV.MATCH` does, and for the puts that
/// follow such a question.
package struct ChainPlace: Hashable, Sendable {
    /// The request's number: the same for all its blocks, different for requests near to it in time.
    package let request: UInt32
    /// The block's position in the chain, 0 for the first.
    package let position: UInt32
    /// Blocks of the request's whole chain, at least 1.
    package let requestBlockCount: UInt32

    /// Creates a place.
    package init(request: UInt32, position: UInt32, requestBlockCount: UInt32) {
        self.request = request
        self.position = position
        self.requestBlockCount = requestBlockCount
    }

    /// Whether the request ends with this block: a last block is often half a sentence that the next turn changes.
    package var isLast: Bool { UInt64(position) + 1 >= UInt64(requestBlockCount) }
}
