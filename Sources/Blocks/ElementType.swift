/// The number format of a block's elements; the disk tier chooses its codec by it.
public enum ElementType: UInt8, Sendable, CaseIterable {
    /// Not declared, or not floating point: bytes.
    case unspecified = 0
    case bfloat16 = 1
    case float16 = 2
    case float32 = 3
    case float8e4m3 = 4
    case float8e5m2 = 5
    case int8 = 6

    /// Reads the names that engines use for `dtype` ("bfloat16", "half", "fp8_e4m3fn", ...); unknown names are
    /// `.unspecified`.
    public init(name: String) {
        self =
            switch name.lowercased() {
            case "bfloat16", "bf16", "torch.bfloat16": .bfloat16
            case "float16", "fp16", "half", "torch.float16", "torch.half": .float16
            case "float32", "fp32", "float", "torch.float32", "torch.float": .float32
            case "float8_e4m3fn", "fp8_e4m3fn", "fp8_e4m3", "float8_e4m3", "fp8": .float8e4m3
            case "float8_e5m2", "fp8_e5m2": .float8e5m2
            case "int8", "torch.int8": .int8
            default: .unspecified
            }
    }

    /// The name that engines use for it and that `init(name:)` reads; "unspecified" for `.unspecified`.
    public var name: String {
        switch self {
        case .unspecified: "unspecified"
        case .bfloat16: "bfloat16"
        case .float16: "float16"
        case .float32: "float32"
        case .float8e4m3: "float8_e4m3fn"
        case .float8e5m2: "float8_e5m2"
        case .int8: "int8"
        }
    }

    /// Bytes of one element; 1 for `.unspecified`.
    public var byteCount: Int {
        switch self {
        case .float32: 4
        case .bfloat16, .float16: 2
        case .unspecified, .float8e4m3, .float8e5m2, .int8: 1
        }
    }
}
