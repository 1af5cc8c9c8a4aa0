package import Blocks

/// A payload's coded pieces one after the other, each with its length before it: 4 bytes, little endian.
///
/// The pieces are those of `PayloadPieces`; who stores it knows codec and length of the payload.
package enum PackedPayload {
    private static let lengthByteCount = 4

    /// Replaces what `output` holds by the coded payload, which may be longer than the payload.
    package static func encode(
        _ payload: UnsafeRawBufferPointer,
        _ coding: PieceCoding,
        scratch: CodecScratch,
        into output: inout [UInt8]
    ) {
        output.removeAll(keepingCapacity: true)
        for range in PayloadPieces(payloadByteCount: payload.count) {
            let piece = unsafe UnsafeRawBufferPointer(rebasing: payload[range])
            let count = unsafe coding.encode(piece, scratch: scratch)
            let coded =
                unsafe count.map { unsafe UnsafeRawBufferPointer(rebasing: scratch.coded[..<$0]) } ?? piece
            let length = UInt32(truncatingIfNeeded: count ?? 0).littleEndian
            unsafe withUnsafeBytes(of: length) { unsafe output.append(contentsOf: $0) }
            unsafe output.append(contentsOf: coded)
        }
    }

    /// Decodes what `encode` made, and fills `payload` exactly.
    ///
    /// Safe for any bytes: `false` when they are not a payload of that length in this codec.
    package static func decode(
        _ stored: UnsafeRawBufferPointer,
        _ codec: PayloadCodec,
        into payload: UnsafeMutableRawBufferPointer,
        scratch: CodecScratch
    ) -> Bool {
        var position = 0
        for range in PayloadPieces(payloadByteCount: payload.count) {
            guard stored.count - position >= lengthByteCount else { return false }
            let length = unsafe UInt32(
                littleEndian: stored.loadUnaligned(fromByteOffset: position, as: UInt32.self)
            )
            position += lengthByteCount
            // A piece that its codec does not take lies there as it is, under the length 0.
            let byteCount = length == 0 ? range.count : Int(length)
            guard byteCount <= stored.count - position else { return false }
            let coded = unsafe UnsafeRawBufferPointer(rebasing: stored[position..<(position + byteCount)])
            let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: payload[range])
            let form = length == 0 ? PayloadCodec.raw : codec
            guard unsafe form.decode(coded, into: piece, scratch: scratch) else { return false }
            position += byteCount
        }
        return position == stored.count
    }
}
