internal import CXXHash

/// The checksum of payloads and headers: XXH3, 64 bits (https://xxhash.com), by the system's libxxhash.
public enum PayloadChecksum {
    /// The checksum of `bytes`.
    public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        // SAFETY: XXH3 reads exactly `count` bytes from a buffer that the caller keeps alive during the call.
        unsafe larder_xxh3_64bits(bytes.baseAddress, bytes.count)
    }
}
