import TestSupport
import Testing

@testable import Engine

@Suite("The safetensors parser")
struct SafetensorsTests {
    private static let good = CheckpointFiles.safetensors([
        .init(name: "a", shape: [2, 3], elements: [1, 2, 3, 4, 5, 6]), .init(name: "b", shape: [4], elements: [7, 8, 9, 10]),
        .init(name: "empty", shape: [0, 5], elements: []), .init(name: "scalar", shape: [], elements: [11]),
    ])

    @Test("finds every tensor with its format, shape and place")
    func good() throws {
        let tensors = try Self.parse(Self.good).tensors
        #expect(tensors.keys.sorted() == ["a", "b", "empty", "scalar"])
        #expect(tensors["a"]?.shape == [2, 3])
        #expect(tensors["a"]?.byteRange.count == 24)
        #expect(tensors["b"]?.format == .float32)
        #expect(tensors["scalar"]?.byteRange.upperBound == Self.good.count)
    }

    @Test(
        "refuses headers that lie",
        arguments: [
            #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#,  // too few bytes for the shape
            #"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}"#,  // behind the file's end
            #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,  // a hole at the start
            #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,  // bytes of no tensor
            #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
            #"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#,
            #"{"a":{"dtype":"F32","shape":[4611686018427387905,4],"data_offsets":[0,8]}}"#,  // overflows to 16
            #"{"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]}}"#,
            #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615]}}"#,
            #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}"#,
            #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4,8]}}"#,
            #"{"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}}"#,
            #"{"a":{"shape":[2],"data_offsets":[0,8]}}"#, #"{"a":{"dtype":"F32","data_offsets":[0,8]}}"#,
            #"{"a":{"dtype":"F32","shape":[2]}}"#, #"{"a":7}"#, #"{"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}}"#,
            "[]", "{", "", "nothing", #" {"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
            String(repeating: "[", count: 100_000), #"{"a":"# + String(repeating: "[", count: 100_000),
        ]
    )
    func lies(header: String) {
        #expect(throws: EngineError.self) {
            try Self.parse(CheckpointFiles.file(header: header, data: [UInt8](repeating: 0, count: 8)))
        }
    }

    @Test("refuses a header longer than the file, also by as much as a length can say")
    func lengths() {
        for length in [UInt64(Self.good.count), UInt64(Self.good.count) - 7, 1 << 62, .max, .max - 7] {
            var bytes = Self.good
            for index in 0..<8 { bytes[index] = UInt8(truncatingIfNeeded: length >> (8 * UInt64(index))) }
            #expect(throws: EngineError.self) { try Self.parse(bytes) }
        }
        for count in 0..<Self.good.count { #expect(throws: EngineError.self) { try Self.parse(Array(Self.good.prefix(count))) } }
    }

    @Test("never traps on damaged files, and what it accepts lies inside the file", arguments: [UInt64(1), 2, 3, 4])
    func mutations(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let alphabet = Array("0123456789{}[]\",:-.eEFBI__metadata__".utf8)
        var acceptedCount = 0
        for _ in 0..<1_500 {
            var bytes = Self.good
            for _ in 0...Int.random(in: 0..<3, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<8, using: &random) {
                case 0...4: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                case 5: bytes[place] = alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
                case 6: bytes.insert(alphabet[Int.random(in: 0..<alphabet.count, using: &random)], at: place)
                default: bytes.remove(at: place)
                }
            }
            guard let header = try? Self.parse(bytes) else { continue }
            acceptedCount += 1
            for tensor in header.tensors.values {
                #expect(tensor.byteRange.lowerBound >= 8 && tensor.byteRange.upperBound <= bytes.count)
                #expect(tensor.shape.reduce(tensor.format.byteCount, *) == tensor.byteRange.count)
            }
        }
        // Flips in names, metadata and data are no damage that a parser could see.
        #expect(acceptedCount > 50 && acceptedCount < 1_400)
    }

    private static func parse(_ bytes: [UInt8]) throws -> SafetensorsHeader {
        try unsafe bytes.withUnsafeBytes { try unsafe SafetensorsHeader(parsing: $0) }
    }
}
