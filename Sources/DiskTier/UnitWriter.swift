package import Blocks

/// One unit being written; used by one thread, ended by `finish` or `cancel`.
package final class UnitWriter {
    /// Bytes appended so far, after coding.
    package var byteCount: Int { 0 }
    /// Whether the unit should be finished.
    package var isFull: Bool { false }
    /// Blocks appended so far.
    package var blockCount: Int { 0 }

    init() {}

    /// Codes and writes one block; it stays invisible until `finish`.
    ///
    /// `header` describes the payload as the client gave it; the writer chooses the codec.
    package func append(
        header: BlockHeader,
        key: RawSpan,
        payload: UnsafeRawBufferPointer
    ) throws(CacheError) {}

    /// Makes the unit durable and visible: when this returns, its blocks survive a crash and can be read.
    package func finish() throws(CacheError) {}

    /// Gives the unit up; nothing of it becomes visible.
    package func cancel() {}
}
