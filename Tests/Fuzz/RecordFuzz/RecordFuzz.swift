import Blocks
import DiskTier
import PayloadCoding

// libFuzzer's entry: `LARDER_FUZZ=1 swift build --sanitize=fuzzer --product RecordFuzz`, then run the product with
// `SWIFT_BACKTRACE=enable=no`, so that a trap leaves its input behind.
//
// What comes from a disk is hostile: no bytes may trap the record parsers or make a decoder leave its buffers, and
// what was encoded must decode to the same.

private let scratch = CodecScratch()
private let guardedByteCount = 64

/// One input: its first byte chooses what is done with the rest.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRecords(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let input = unsafe UnsafeRawBufferPointer(start: data, count: count)
    guard let choice = unsafe input.first else { return 0 }
    let rest = unsafe UnsafeRawBufferPointer(rebasing: input[1...])
    switch choice % 4 {
    case 0: unsafe parse(rest)
    case 1: unsafe decode(rest)
    case 2: unsafe roundTrip(rest)
    default: unsafe parseKeyAndHeader(rest)
    }
    return 0
}

/// Any record that parses must encode to one that parses to the same.
private func parse(_ bytes: UnsafeRawBufferPointer) {
    _ = unsafe TailRecord.block(decoding: bytes.bytes)
    guard let record = try? TailRecord(decoding: unsafe bytes.bytes) else { return unsafe parseMended(bytes) }
    let again = record.encoded()
    guard let second = try? TailRecord(decoding: unsafe again.span.bytes), second == record else {
        fatalError("a record does not survive encoding")
    }
}

/// A right checksum behind the bytes lets the fuzzer past it.
private func parseMended(_ bytes: UnsafeRawBufferPointer) {
    var mended = unsafe Array(bytes)
    unsafe withUnsafeBytes(of: PayloadChecksum.of(bytes).littleEndian) {
        unsafe mended.append(contentsOf: $0)
    }
    guard let record = try? TailRecord(decoding: unsafe mended.span.bytes) else { return }
    guard record.encoded() == mended else { fatalError("a record has two encodings") }
}

private func parseKeyAndHeader(_ bytes: UnsafeRawBufferPointer) {
    _ = RecordKey(decoding: unsafe bytes.bytes)
    _ = try? BlockHeader(decoding: unsafe bytes.bytes)
}

/// Decodes the bytes as a piece of a length that they choose; what lies behind the piece must stay as it was.
private func decode(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= 3 else { return }
    let pieceByteCount = unsafe Int(bytes[0]) << 8 | Int(bytes[1])
    let codec = unsafe PayloadCodec.allCases[Int(bytes[2]) % PayloadCodec.allCases.count]
    let stored = unsafe UnsafeRawBufferPointer(rebasing: bytes[3...])
    var output = [UInt8](repeating: 0xA5, count: pieceByteCount + guardedByteCount)
    unsafe output.withUnsafeMutableBytes { output in
        let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: output[..<pieceByteCount])
        _ = unsafe codec.decode(stored, into: piece, scratch: scratch)
    }
    guard output.dropFirst(pieceByteCount).allSatisfy({ $0 == 0xA5 }) else {
        fatalError("a decoder wrote behind its piece")
    }
}

private func roundTrip(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count > 0 else { return }
    for codec in PayloadCodec.allCases where codec != .raw {
        let coding = PieceCoding(codec, elementType: .bfloat16, addsLZ4: true)
        guard let count = unsafe coding.encode(bytes, scratch: scratch) else { continue }
        // Coding leaves its result in the scratch memory, which decoding uses too.
        let stored = unsafe Array(scratch.coded[..<count])
        var output = [UInt8](repeating: 0, count: bytes.count)
        let isDecoded = unsafe output.withUnsafeMutableBytes { piece in
            unsafe stored.withUnsafeBytes { unsafe codec.decode($0, into: piece, scratch: scratch) }
        }
        guard isDecoded, unsafe output.elementsEqual(bytes) else { fatalError("a codec lost bytes") }
    }
}
