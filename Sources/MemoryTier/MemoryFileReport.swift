/// What opening a memory file came to.
package struct MemoryFileReport: Sendable {
    /// The file in use; `nil` when there is none.
    package var path: String?
    /// Why there is none, and what to do about it.
    package var unavailable: String?
    /// Why what was there was removed instead of taken back.
    package var discarded: String?
    /// Whether the file of the run before was taken back.
    package var isTakenBack = false
    /// Blocks taken over.
    package var blockCount = 0
    /// Bytes of their extents.
    package var byteCount = 0
    /// Blocks whose time was over.
    package var expiredBlockCount = 0
    /// Places of the directory, and blocks, that were damaged.
    package var damagedBlockCount = 0
    /// How long it took.
    package var seconds = 0.0

    /// Nothing.
    package init() {}
}
