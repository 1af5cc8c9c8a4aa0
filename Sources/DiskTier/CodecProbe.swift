import Blocks

/// Chooses a block's codec from a small sample: up to eight stretches of 4 KiB, spread over the payload.
struct CodecProbe {
    /// The least expected gain, raw bytes per stored byte, for which coding is worth its time.
    static let gainMin = 1.05
    private static let stretchByteCount = 4 << 10
    private static let stretchCountMax = 8

    /// The codec that the sample promises most of; `.raw` when none promises enough.
    static func choose(
        for payload: UnsafeRawBufferPointer,
        elementType: ElementType,
        scratch: CodecScratch
    ) -> PayloadCodec {
        // Shorter payloads have too little to win, and too little to sample.
        guard payload.count >= 256 else { return .raw }
        let sample = unsafe takeSample(of: payload)
        return unsafe sample.withUnsafeBytes {
            unsafe choose(sample: $0, elementType: elementType, scratch: scratch)
        }
    }

    private static func choose(
        sample: UnsafeRawBufferPointer,
        elementType: ElementType,
        scratch: CodecScratch
    ) -> PayloadCodec {
        let plainCount = unsafe LZ4Codec.compress(sample, into: scratch.coded) ?? sample.count
        var best = (codec: PayloadCodec.lz4, byteCount: plainCount)
        if elementType.byteCount == 2 {
            let planes = unsafe BytePlanesCodec.split(
                sample,
                elementCount: sample.count / 2,
                into: scratch.planes
            )
            let planesCount =
                unsafe (LZ4Codec.compress(planes.high, into: scratch.coded) ?? planes.high.count)
                + (LZ4Codec.compress(planes.low, into: scratch.coded) ?? planes.low.count)
            if planesCount < best.byteCount { best = (.lz4Planes, planesCount) }
        }
        return Double(sample.count) >= Double(best.byteCount) * gainMin ? best.codec : .raw
    }

    private static func takeSample(of payload: UnsafeRawBufferPointer) -> [UInt8] {
        let wholeCount = stretchByteCount * stretchCountMax
        guard payload.count > wholeCount else { return unsafe Array(payload) }
        var sample: [UInt8] = []
        sample.reserveCapacity(wholeCount)
        let step = (payload.count - stretchByteCount) / (stretchCountMax - 1)
        for stretch in 0..<stretchCountMax {
            // Whole elements: the stretch starts at an even offset.
            let start = stretch * step & ~7
            unsafe sample.append(contentsOf: payload[start..<(start + stretchByteCount)])
        }
        return sample
    }
}
