internal import Foundation

/// The table of tensors at the head of a safetensors file (https://github.com/huggingface/safetensors).
///
/// Eight bytes give the length of a JSON object of names to dtype, shape and byte range; the data follows. Parsing
/// checks everything a reader relies on: lengths, ranges, shapes, and that the tensors tile the data exactly.
package struct SafetensorsHeader: Sendable {
    /// One tensor.
    package struct Tensor: Hashable, Sendable {
        /// The number format.
        package let format: Format
        /// Elements along each axis.
        package let shape: [Int]
        /// Where the elements lie, bytes from the file's start.
        package let byteRange: Range<Int>
    }

    /// Number formats that have whole bytes.
    package enum Format: String, Sendable {
        case bool = "BOOL", uint8 = "U8", int8 = "I8", float8e4m3 = "F8_E4M3", float8e5m2 = "F8_E5M2"
        case int16 = "I16", uint16 = "U16", float16 = "F16", bfloat16 = "BF16"
        case int32 = "I32", uint32 = "U32", float32 = "F32"
        case int64 = "I64", uint64 = "U64", float64 = "F64"

        /// Bytes of an element.
        var byteCount: Int {
            switch self {
            case .bool, .uint8, .int8, .float8e4m3, .float8e5m2: 1
            case .int16, .uint16, .float16, .bfloat16: 2
            case .int32, .uint32, .float32: 4
            case .int64, .uint64, .float64: 8
            }
        }
    }

    /// The longest table that is read, bytes; the format's own limit.
    package static let byteCountMax = 100_000_000

    /// The tensors by name.
    package let tensors: [String: Tensor]

    /// Parses a whole file's bytes; throws `.invalidWeights` for anything that is off.
    package init(parsing file: UnsafeRawBufferPointer) throws(EngineError) {
        guard file.count >= 8 else {
            throw EngineError(.invalidWeights, "a safetensors file has at least 8 bytes")
        }
        // SAFETY: the first eight bytes are there.
        let announced = unsafe UInt64(littleEndian: file.loadUnaligned(as: UInt64.self))
        let roomByteCount = min(file.count - 8, Self.byteCountMax)
        guard let headerByteCount = Int(exactly: announced), headerByteCount <= roomByteCount else {
            throw EngineError(.invalidWeights, "the header is said to have \(announced) bytes, more than there are")
        }
        // SAFETY: 8 + headerByteCount bytes are there, as checked above.
        let json = unsafe Data(UnsafeRawBufferPointer(rebasing: file[8..<8 + headerByteCount]))
        guard json.first == UInt8(ascii: "{"), let table = try? JSONDecoder().decode([String: Entry].self, from: json)
        else {
            throw EngineError(.invalidWeights, "the header is not a table of tensors with known number formats")
        }
        let dataStart = 8 + headerByteCount
        let dataByteCount = file.count - dataStart
        var tensors: [String: Tensor] = [:]
        for (name, entry) in table where name != "__metadata__" {
            tensors[name] = try entry.tensor(named: name, dataStart: dataStart, dataByteCount: dataByteCount)
        }
        try Self.requireTiling(tensors, dataStart: dataStart, dataByteCount: dataByteCount)
        self.tensors = tensors
    }

    private static func requireTiling(
        _ tensors: [String: Tensor],
        dataStart: Int,
        dataByteCount: Int
    ) throws(EngineError) {
        var end = dataStart
        let inOrder = tensors.sorted {
            ($0.value.byteRange.lowerBound, $0.value.byteRange.upperBound)
                < ($1.value.byteRange.lowerBound, $1.value.byteRange.upperBound)
        }
        for (name, tensor) in inOrder {
            guard tensor.byteRange.lowerBound == end else {
                throw EngineError(.invalidWeights, "tensor \(name) overlaps another, or leaves a hole before it")
            }
            end = tensor.byteRange.upperBound
        }
        guard end == dataStart + dataByteCount else {
            throw EngineError(.invalidWeights, "the file is longer than its tensors")
        }
    }
}

/// One value of the JSON table; `__metadata__` has none of the fields.
private struct Entry: Decodable {
    let dtype: String?
    let shape: [UInt64]?
    let data_offsets: [UInt64]?

    func tensor(
        named name: String,
        dataStart: Int,
        dataByteCount: Int
    ) throws(EngineError) -> SafetensorsHeader.Tensor {
        guard let format = dtype.flatMap(SafetensorsHeader.Format.init), let shape, let data_offsets,
            data_offsets.count == 2, let begin = Int(exactly: data_offsets[0]), let end = Int(exactly: data_offsets[1]),
            begin <= end, end <= dataByteCount
        else {
            throw EngineError(.invalidWeights, "tensor \(name) has no known format, no shape, or lies outside the file")
        }
        var byteCount = format.byteCount
        var sizes: [Int] = []
        for size in shape {
            guard let size = Int(exactly: size) else {
                throw EngineError(.invalidWeights, "tensor \(name) has an impossible shape")
            }
            let (product, overflows) = byteCount.multipliedReportingOverflow(by: size)
            guard !overflows else { throw EngineError(.invalidWeights, "tensor \(name) has an impossible shape") }
            byteCount = product
            sizes.append(size)
        }
        guard byteCount == end - begin else {
            throw EngineError(.invalidWeights, "tensor \(name) has \(end - begin) bytes, its shape asks for \(byteCount)")
        }
        return SafetensorsHeader.Tensor(format: format, shape: sizes, byteRange: dataStart + begin..<dataStart + end)
    }
}
