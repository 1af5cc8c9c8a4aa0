internal import Blocks
internal import MemoryTier

/// What a match has shown of the use of blocks, kept until its answer is on its way.
package struct MatchLesson: Sendable {
    let space: KeySpace
    let keys: KeyBatch
    let request: ChainRequest
    /// The blocks found in memory, first block first.
    let uses: [BlockUse]
    /// The tier of each block found.
    let tiers: [Tier]
    /// The last block found and the tokens up to its end; `nil` for a match of nothing.
    var ending: (last: BlockIdentity, tokenCount: Int)?
}
