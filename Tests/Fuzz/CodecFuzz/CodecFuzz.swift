import Blocks
import PayloadCoding

// libFuzzer's entry: `LARDER_FUZZ=1 swift build --sanitize=fuzzer --product CodecFuzz`, then run the product with
// `SWIFT_BACKTRACE=enable=no`, so that a trap leaves its input behind.
//
// No bytes may make the exponent code leave its buffers; what was coded must decode to the same, and every variant
// must write the same bytes.

private let scratch = CodecScratch()
private let guardedByteCount = 64
private let floats: [ElementType] = [.bfloat16, .float16, .float32, .float8e4m3, .float8e5m2]
private let variants = ExponentVariant.allCases.filter(\.isSupported)

/// One input: its first byte chooses what is done with the rest, and with which element type and variant.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzCodec(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let input = unsafe UnsafeRawBufferPointer(start: data, count: count)
    guard input.count >= 3 else { return 0 }
    let choice = unsafe Int(input[0])
    let type = floats[choice / 4 % floats.count]
    let variant = unsafe variants[Int(input[1]) % variants.count]
    let rest = unsafe UnsafeRawBufferPointer(rebasing: input[2...])
    switch choice % 4 {
    case 0: unsafe decode(rest, variant)
    case 1: unsafe decodeMended(rest, type, variant)
    case 2: unsafe roundTrip(rest, type)
    default: unsafe roundTripStaged(rest, type)
    }
    return 0
}

/// Decodes the bytes as a piece of the length that their head claims, as far as that is usual.
private func decode(_ bytes: UnsafeRawBufferPointer, _ variant: ExponentVariant) {
    guard bytes.count >= ExponentCodec.headByteCount else { return }
    let claimed = unsafe UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
    guard claimed <= 1 << 20 else { return }
    var output = [UInt8](repeating: 0xA5, count: Int(claimed) + guardedByteCount)
    var work = [UInt8](repeating: 0, count: ExponentCodec.scratchByteCount)
    unsafe output.withUnsafeMutableBytes { output in
        let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: output[..<Int(claimed)])
        unsafe work.withUnsafeMutableBytes { work in
            _ = unsafe ExponentCodec.decode(bytes, into: piece, scratch: work, variant: variant)
        }
        _ = unsafe PayloadCodec.exponent.decode(bytes, into: piece, scratch: scratch)
    }
    guard output.dropFirst(Int(claimed)).allSatisfy({ $0 == 0xA5 }) else {
        fatalError("a decoder wrote behind its piece")
    }
}

/// A right head before the bytes lets the fuzzer past it: a piece of one chunk or a little more.
private func decodeMended(_ bytes: UnsafeRawBufferPointer, _ type: ElementType, _ variant: ExponentVariant) {
    guard bytes.count >= 2 else { return }
    let groupCount = unsafe Int(bytes[0]) % 160
    let pieceByteCount = unsafe groupCount * 128 * type.byteCount + Int(bytes[1]) % 4
    let body = unsafe UnsafeRawBufferPointer(rebasing: bytes[2...])
    var mended: [UInt8] = [0, type.rawValue, 0, 0]
    for count in [pieceByteCount, body.count, 0] {
        for place in 0..<4 { mended.append(UInt8(truncatingIfNeeded: count >> (8 * place))) }
    }
    unsafe mended.append(contentsOf: body)
    unsafe mended.withUnsafeBytes { unsafe decode($0, variant) }
}

private func roundTrip(_ bytes: UnsafeRawBufferPointer, _ type: ElementType) {
    var first: [UInt8]?
    var work = [UInt8](repeating: 0, count: ExponentCodec.scratchByteCount)
    for variant in variants {
        guard let codec = ExponentCodec(type, variant: variant) else { fatalError("a float is no float") }
        var room = [UInt8](repeating: 0, count: ExponentCodec.bound(bytes.count))
        var output = [UInt8](repeating: 0, count: bytes.count)
        let count = unsafe room.withUnsafeMutableBytes { room in
            unsafe work.withUnsafeMutableBytes { unsafe codec.encode(bytes, into: room, scratch: $0) }
        }
        guard let count else { fatalError("a piece was not coded") }
        let coded = Array(room[..<count])
        guard first == nil || first == coded else { fatalError("two variants write different bytes") }
        first = coded
        let isDecoded = unsafe output.withUnsafeMutableBytes { output in
            unsafe coded.withUnsafeBytes { coded in
                unsafe work.withUnsafeMutableBytes {
                    unsafe ExponentCodec.decode(coded, into: output, scratch: $0, variant: variant)
                }
            }
        }
        guard isDecoded, unsafe output.elementsEqual(bytes) else { fatalError("a codec lost bytes") }
    }
}

private func roundTripStaged(_ bytes: UnsafeRawBufferPointer, _ type: ElementType) {
    let coding = PieceCoding(.exponent, elementType: type, addsLZ4: true)
    guard let count = unsafe coding.encode(bytes, scratch: scratch) else {
        fatalError("a piece was not coded")
    }
    let stored = unsafe Array(scratch.coded[..<count])
    var output = [UInt8](repeating: 0, count: bytes.count)
    let isDecoded = unsafe output.withUnsafeMutableBytes { piece in
        unsafe stored.withUnsafeBytes { unsafe coding.codec.decode($0, into: piece, scratch: scratch) }
    }
    guard isDecoded, unsafe output.elementsEqual(bytes) else { fatalError("a codec lost bytes") }
}
