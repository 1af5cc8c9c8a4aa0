internal import Blocks

/// One number format of keys and values: how it is read, written and rounded to.
protocol KVElement: SendableMetatype {
    /// The format's stored bits.
    associatedtype Bits: FixedWidthInteger, BitwiseCopyable
    /// Widens exactly.
    static func value(of bits: Bits) -> Float
    /// Rounds to the nearest, ties to even.
    static func bits(of value: Float) -> Bits
}

enum Float32Element: KVElement {
    static func value(of bits: UInt32) -> Float { Float(bitPattern: bits) }
    static func bits(of value: Float) -> UInt32 { value.bitPattern }
}

enum BrainElement: KVElement {
    static func value(of bits: UInt16) -> Float { Float(brainBits: bits) }
    static func bits(of value: Float) -> UInt16 { value.brainBits }
}

enum HalfElement: KVElement {
    static func value(of bits: UInt16) -> Float { Float(halfBits: bits) }
    static func bits(of value: Float) -> UInt16 { value.halfBits }
}

extension ElementType {
    /// The format by its type; anything but the two narrow ones is float32, as `KVLayout` has checked.
    var element: any KVElement.Type {
        switch self {
        case .bfloat16: BrainElement.self
        case .float16: HalfElement.self
        default: Float32Element.self
        }
    }
}
