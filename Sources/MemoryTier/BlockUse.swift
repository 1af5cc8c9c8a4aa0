package import Eviction

/// One use of a block in memory, as the policy is told of it.
package struct BlockUse: Sendable {
    /// Which block.
    package let handle: BlockHandle
    /// Where it stood in the request; `nil` when nothing was asked about its chain.
    package let place: ChainPlace?

    /// Describes a use.
    package init(_ handle: BlockHandle, at place: ChainPlace?) {
        self.handle = handle
        self.place = place
    }
}
