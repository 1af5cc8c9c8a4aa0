internal import Blocks
internal import PayloadCoding

/// One codec over one payload, coded and decoded again and again in the pieces that the disk tier stores.
struct CodecBench {
    /// What is measured.
    let coding: PieceCoding
    let variant: ExponentVariant
    let roundCount: Int

    /// What it found.
    struct Result {
        /// Raw bytes for each stored byte; pieces that do not shrink count as they are.
        let ratio: Double
        /// Raw gigabytes a second, each round.
        let codingSpeeds: [Double]
        let decodingSpeeds: [Double]
        /// Whether every round gave every byte back.
        let isRight: Bool
    }

    /// Codes a payload of at least one byte.
    func run(_ payload: [UInt8]) -> Result {
        let pieces = PayloadPieces(payloadByteCount: payload.count)
        let scratch = CodecScratch(variant: variant)
        var stored = pieces.map { [UInt8](repeating: 0, count: $0.count) }
        var output = [UInt8](repeating: 0, count: payload.count)
        var codingSpeeds: [Double] = []
        var decodingSpeeds: [Double] = []
        var isRight = true
        // One more round than is told: the first touches memory for the first time.
        for round in 0...roundCount {
            // SAFETY: every buffer is an array's own, lent for the call.
            let coding = unsafe payload.withUnsafeBytes { unsafe code($0, pieces, scratch, into: &stored) }
            // What is not written must not look like padding.
            for place in output.indices { output[place] = 0xA5 }
            let decoding = unsafe output.withUnsafeMutableBytes {
                unsafe decode(stored, pieces, scratch, into: $0)
            }
            isRight = isRight && output == payload
            guard round > 0 else { continue }
            codingSpeeds.append(Double(payload.count) / Double(max(1, coding)))
            decodingSpeeds.append(Double(payload.count) / Double(max(1, decoding)))
        }
        return Result(
            ratio: Double(payload.count) / Double(max(1, stored.reduce(0) { $0 + $1.count })),
            codingSpeeds: codingSpeeds,
            decodingSpeeds: decodingSpeeds,
            isRight: isRight
        )
    }

    /// Gives the nanoseconds that coding took; keeping the coded pieces is not counted.
    private func code(
        _ payload: UnsafeRawBufferPointer,
        _ pieces: PayloadPieces,
        _ scratch: CodecScratch,
        into stored: inout [[UInt8]]
    ) -> UInt64 {
        var nanoseconds: UInt64 = 0
        for (number, range) in pieces.enumerated() {
            let piece = unsafe UnsafeRawBufferPointer(rebasing: payload[range])
            let start = BenchClock.now()
            let count =
                unsafe coding.codec == .raw ? copy(piece, scratch) : coding.encode(piece, scratch: scratch)
            nanoseconds += BenchClock.now() - start
            if let count, coding.codec == .raw || count < piece.count {
                stored[number] = unsafe Array(scratch.coded[..<count])
            } else {
                stored[number] = unsafe Array(piece)
            }
        }
        return nanoseconds
    }

    private func copy(_ piece: UnsafeRawBufferPointer, _ scratch: CodecScratch) -> Int {
        unsafe scratch.coded.copyMemory(from: piece)
        return piece.count
    }

    /// Gives the nanoseconds that decoding took.
    private func decode(
        _ stored: [[UInt8]],
        _ pieces: PayloadPieces,
        _ scratch: CodecScratch,
        into output: UnsafeMutableRawBufferPointer
    ) -> UInt64 {
        let start = BenchClock.now()
        for (number, range) in pieces.enumerated() {
            let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: output[range])
            let codec = stored[number].count < range.count ? coding.codec : .raw
            _ = unsafe stored[number].withUnsafeBytes {
                unsafe codec.decode($0, into: piece, scratch: scratch)
            }
        }
        return BenchClock.now() - start
    }
}
