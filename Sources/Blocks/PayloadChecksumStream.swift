internal import CXXHash

/// The checksum of bytes that come in pieces: the same value as `PayloadChecksum.of` gives for all of them at
/// once.
@safe
package struct PayloadChecksumStream: ~Copyable {
    private let state: OpaquePointer?  // created by init, freed by deinit, never handed out

    /// Starts with no bytes.
    package init() {
        // SAFETY: the state belongs to this value alone and is freed by its deinit.
        unsafe state = XXH3_createState()
        reset()
    }

    deinit { unsafe XXH3_freeState(state) }

    /// Starts again with no bytes, in the same memory.
    package mutating func reset() { unsafe XXH3_64bits_reset(state) }

    /// Adds the next piece.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        // SAFETY: XXH3 reads exactly `count` bytes from a buffer that the caller keeps alive during the call.
        unsafe larder_xxh3_64bits_update(state, bytes.baseAddress, bytes.count)
    }

    /// The checksum of everything added so far.
    package borrowing func value() -> UInt64 { unsafe XXH3_64bits_digest(state) }
}
