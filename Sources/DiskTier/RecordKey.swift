/// The key of one record in a unit's table: sorts by unit, payload before tail, number, piece.
///
/// 13 bytes, big endian: unit (4), kind (1: 'a' payload, 'z' tail), number (4), piece (4).
package struct RecordKey: Hashable, Sendable {
    /// Which part of a unit a record belongs to.
    package enum Kind: UInt8, Sendable {
        /// Header, key and payload pieces of a block.
        case payload = 0x61
        /// The unit's metadata.
        case tail = 0x7a
    }

    /// The unit's number; never used twice.
    package var unit: UInt32
    /// Payload or tail.
    package var kind: Kind
    /// The block's number in the unit, or the tail record's.
    package var number: UInt32
    /// 0 for header and key, then the payload's pieces from 1; 0 in the tail.
    package var piece: UInt32

    /// Bytes of an encoded key.
    package static let byteCount = 13

    /// Creates a key.
    package init(unit: UInt32, kind: Kind, number: UInt32, piece: UInt32 = 0) {
        self.unit = unit
        self.kind = kind
        self.number = number
        self.piece = piece
    }

    /// Decodes a key; `nil` when the bytes are not one.
    package init?(decoding bytes: RawSpan) {
        guard bytes.byteCount == Self.byteCount,
            let kind = Kind(rawValue: unsafe bytes.unsafeLoad(fromUncheckedByteOffset: 4, as: UInt8.self))
        else { return nil }
        // SAFETY: all offsets are inside the 13 bytes checked above.
        func load(_ offset: Int) -> UInt32 {
            UInt32(
                bigEndian: unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt32.self)
            )
        }
        self.init(unit: load(0), kind: kind, number: load(5), piece: load(9))
    }

    /// Lends the encoded key to a C call.
    func withCBytes<Result>(_ body: (UnsafePointer<CChar>, Int) -> Result) -> Result {
        unsafe withUnsafeTemporaryAllocation(byteCount: Self.byteCount, alignment: 1) { buffer in
            // SAFETY: all stores are inside the 13 bytes just allocated.
            unsafe buffer.storeBytes(of: unit.bigEndian, toByteOffset: 0, as: UInt32.self)
            unsafe buffer.storeBytes(of: kind.rawValue, toByteOffset: 4, as: UInt8.self)
            unsafe buffer.storeBytes(of: number.bigEndian, toByteOffset: 5, as: UInt32.self)
            unsafe buffer.storeBytes(of: piece.bigEndian, toByteOffset: 9, as: UInt32.self)
            return unsafe buffer.withMemoryRebound(to: CChar.self) { characters in
                unsafe characters.baseAddress.map { unsafe body($0, Self.byteCount) }
            }
        }.unsafelyUnwrapped
    }
}
