package import Blocks

/// Chooses how a payload is coded from a look at a small part of it.
///
/// Floats: how often each exponent occurs among a thousand elements tells what the exponent code gives. All payloads:
/// LZ4 over eight stretches, at most a sixteenth of a usual payload, tells whether anything repeats; only then are LZ4
/// alone and LZ4 behind the exponent code tried on the same stretches.
package enum CodecProbe {
    /// The least expected gain, raw bytes per stored byte, for which coding is worth its time.
    package static let gainMin = 1.05
    private static let stretchCount = 8
    private static let stretchByteCounts = 512...(4 << 10)
    /// What a second stage must win to be worth its time on reading.
    private static let stageGainMin = 1.05

    /// The coding that the sample promises most of; `.raw` when none promises enough.
    package static func choose(
        for payload: UnsafeRawBufferPointer,
        elementType: ElementType,
        scratch: CodecScratch
    ) -> PieceCoding {
        // Shorter payloads have too little to win, and too little to sample.
        guard payload.count >= 256 else { return .raw }
        let floats = unsafe guess(payload, elementType: elementType)
        let sample = unsafe takeSample(of: payload)
        return unsafe sample.withUnsafeBytes { unsafe choose(sample: $0, floats: floats, scratch: scratch) }
    }

    /// What the exponent code is expected to give.
    private struct Guess {
        let elementType: ElementType
        let gain: Double
    }

    private static func choose(
        sample: UnsafeRawBufferPointer,
        floats: Guess?,
        scratch: CodecScratch
    ) -> PieceCoding {
        var best = (coding: PieceCoding.raw, gain: gainMin)
        if let floats, floats.gain >= best.gain {
            best = (PieceCoding(.exponent, elementType: floats.elementType), floats.gain)
        }
        guard let packedCount = unsafe LZ4Codec.compress(sample, into: scratch.coded) else {
            return best.coding
        }
        let plainGain = Double(sample.count) / Double(packedCount)
        guard plainGain >= gainMin else { return best.coding }
        if let floats {
            let staged = PieceCoding(.exponent, elementType: floats.elementType, addsLZ4: true)
            let stagedCount = unsafe staged.encode(sample, scratch: scratch) ?? sample.count
            let gain = Double(sample.count) / Double(stagedCount)
            if gain >= best.gain * stageGainMin { best = (staged, gain) }
        }
        return plainGain >= best.gain ? PieceCoding(.lz4) : best.coding
    }

    /// The declared element type; where none is declared, the one that promises most.
    private static func guess(_ payload: UnsafeRawBufferPointer, elementType: ElementType) -> Guess? {
        let types: [ElementType] =
            elementType == .unspecified
            ? [.bfloat16, .float16, .float32, .float8e4m3, .float8e5m2] : [elementType]
        var best: Guess?
        for type in types {
            guard let codec = ExponentCodec(type) else { continue }
            let gain = unsafe Double(payload.count) / Double(max(1, codec.estimate(payload)))
            if gain > best?.gain ?? 0 { best = Guess(elementType: type, gain: gain) }
        }
        return best
    }

    private static func takeSample(of payload: UnsafeRawBufferPointer) -> [UInt8] {
        let share = payload.count / (16 * stretchCount) & ~63
        let stretch = min(max(share, stretchByteCounts.lowerBound), stretchByteCounts.upperBound)
        guard payload.count > stretch * stretchCount else { return unsafe Array(payload) }
        var sample: [UInt8] = []
        sample.reserveCapacity(stretch * stretchCount)
        let step = (payload.count - stretch) / (stretchCount - 1)
        for number in 0..<stretchCount {
            // Whole elements: the stretch starts at a multiple of eight.
            let start = number * step & ~7
            unsafe sample.append(contentsOf: payload[start..<(start + stretch)])
        }
        return sample
    }
}
