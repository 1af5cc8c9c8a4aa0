internal import Blocks

/// Where things are in a block's extent: header and key, padded; then the payload, padded.
struct ExtentLayout {
    /// Where the payload begins, bytes from the extent's start; a multiple of 64.
    let payloadOffset: Int
    /// Length of the extent, granules.
    let granuleCount: Int

    /// The layout for lengths within `Limits`.
    @inline(__always)
    init(keyByteCount: Int, payloadByteCount: Int) {
        let granule = Extent.granuleByteCount
        payloadOffset = (BlockHeader.byteCount + keyByteCount + granule - 1) & ~(granule - 1)
        granuleCount = (payloadOffset + payloadByteCount + granule - 1) / granule
    }

    /// Bytes of the extent.
    var byteCount: Int { granuleCount * Extent.granuleByteCount }
}
