package import Blocks

/// One block of the run before, as it was found in the memory file; its payload is proved when it is first read.
package struct TakenOverBlock: Sendable {
    /// Its residency.
    package let handle: BlockHandle
    /// Who and which.
    package let identity: BlockIdentity
    /// Payload length and attributes.
    package let summary: BlockSummary
    /// Whether another tier had it.
    package let wasClean: Bool
}
