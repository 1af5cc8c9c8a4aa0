internal import Blocks

/// How keys and values are stored: one of the three number formats, little endian.
enum KVFormat: Sendable {
    case float32
    case bfloat16
    case float16

    /// Anything but the two narrow formats is float32, as `KVLayout` has checked.
    init(_ elementType: ElementType) {
        self =
            switch elementType {
            case .bfloat16: .bfloat16
            case .float16: .float16
            default: .float32
            }
    }

    /// The nearest value that the format has, ties to even.
    @inline(__always)
    func rounded(_ value: Float) -> Float {
        switch self {
        case .float32: value
        case .bfloat16: Float(brainBits: value.brainBits)
        case .float16: Float(halfBits: value.halfBits)
        }
    }

    /// The element at `index` from `start`, widened exactly.
    @inline(__always)
    func load(_ start: UnsafeRawPointer, _ index: Int) -> Float {
        // SAFETY: the caller knows that the element lies in its memory.
        switch self {
        case .float32:
            unsafe Float(
                bitPattern: UInt32(
                    littleEndian: start.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)
                )
            )
        case .bfloat16:
            unsafe Float(
                brainBits: UInt16(
                    littleEndian: start.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self)
                )
            )
        case .float16:
            unsafe Float(
                halfBits: UInt16(
                    littleEndian: start.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self)
                )
            )
        }
    }

    /// Writes a value to the element at `index` from `start`, rounded.
    @inline(__always)
    func store(_ value: Float, _ start: UnsafeMutableRawPointer, _ index: Int) {
        // SAFETY: the caller knows that the element lies in its memory.
        switch self {
        case .float32:
            unsafe start.storeBytes(
                of: value.bitPattern.littleEndian,
                toByteOffset: 4 * index,
                as: UInt32.self
            )
        case .bfloat16:
            unsafe start.storeBytes(
                of: value.brainBits.littleEndian,
                toByteOffset: 2 * index,
                as: UInt16.self
            )
        case .float16:
            unsafe start.storeBytes(of: value.halfBits.littleEndian, toByteOffset: 2 * index, as: UInt16.self)
        }
    }
}
