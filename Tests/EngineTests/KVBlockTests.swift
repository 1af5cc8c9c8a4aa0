import Blocks
import TestSupport
import Testing

@testable import Engine

@Suite("Blocks of keys and values")
struct KVBlockTests {
    @Test(
        "leave and enter the cache bit for bit",
        arguments: [ElementType.float32, .bfloat16, .float16],
        [1, 5, 16, 40]
    )
    func roundTrip(elementType: ElementType, tokensPerBlock: Int) throws {
        let engine = try Engine(TestModels.odd) {
            $0.elementType = elementType
            $0.tokensPerBlock = tokensPerBlock
        }
        var random = SeededRandom(seed: 5)
        var bytes = random.bytes(3 * engine.layout.blockByteCount)
        if elementType != .float32 { Self.avoidNotANumber(&bytes) }
        let sequence = engine.makeSequence()
        try sequence.importBlocks(bytes)
        #expect(sequence.tokenCount == 3 * tokensPerBlock)
        #expect(try sequence.exported(3, engine.layout) == bytes)
    }

    @Test("have their elements where the layout says")
    func layout() throws {
        let configuration = TestModels.odd
        let engine = try Engine(configuration) { $0.tokensPerBlock = 8 }
        #expect(engine.layout.blockByteCount == 2 * 2 * 8 * 2 * 10 * 4)
        let sequence = engine.makeSequence()
        let tokens = TestModels.tokens(8)
        _ = try sequence.append(tokens)
        let bytes = try sequence.exported(1, engine.layout)
        func element(layer: Int, isValue: Bool, token: Int, head: Int, element: Int) -> Float {
            let index = (((layer * 2 + (isValue ? 1 : 0)) * 8 + token) * 2 + head) * 10 + element
            let bits = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[index * 4 + $1]) << UInt32(8 * $1) }
            return Float(bitPattern: bits)
        }
        // The first layer's values are a product of the normalized embedding alone.
        let weights = SeededWeights(seed: 7, layerCount: 2)
        var embedding: [Double] = []
        try weights.read("model.embed_tokens.weight", rowCount: 259, columnCount: 44) { row, value in
            if row == Int(tokens[5]) { embedding = (0..<44).map { Double(value($0)) } }
        }
        let scale = 1 / (embedding.reduce(0) { $0 + $1 * $1 } / 44 + 1e-5).squareRoot()
        try weights.read("model.layers.0.input_layernorm.weight", rowCount: 1, columnCount: 44) { _, value in
            embedding = embedding.enumerated().map { $1 * scale * Double(value($0)) }
        }
        var expected = 0.0
        try weights.read("model.layers.0.self_attn.v_proj.weight", rowCount: 20, columnCount: 44) { row, value in
            if row == 1 * 10 + 3 { expected = (0..<44).reduce(0) { $0 + embedding[$1] * Double(value($1)) } }
        }
        #expect(abs(Double(element(layer: 0, isValue: true, token: 5, head: 1, element: 3)) - expected) < 1e-5)
    }

    @Test("of a wrong length, out of order or not yet computed are refused, and the sequence goes on")
    func refusals() throws {
        let engine = try Engine(TestModels.odd)
        let sequence = engine.makeSequence()
        let byteCount = engine.layout.blockByteCount
        func code(_ body: () throws -> Void) -> EngineError.Code? {
            do {
                try body()
                return nil
            } catch {
                return (error as? EngineError)?.code
            }
        }
        #expect(code { try sequence.importBlocks([UInt8](repeating: 0, count: byteCount - 1)) } == .invalidBlock)
        #expect(code { try sequence.importBlocks([UInt8](repeating: 0, count: byteCount + 1)) } == .invalidBlock)
        #expect(code { _ = try sequence.exported(1, engine.layout) } == .invalidBlock)
        _ = try sequence.append(TestModels.tokens(20))
        #expect(code { try sequence.importBlocks([UInt8](repeating: 0, count: byteCount)) } == .invalidBlock)
        #expect(code { _ = try sequence.exported(2, engine.layout) } == .invalidBlock)
        var short = [UInt8](repeating: 0, count: byteCount - 1)
        #expect(
            code { try unsafe short.withUnsafeMutableBytes { try unsafe sequence.exportBlock(0, into: $0) } }
                == .invalidBlock
        )
        #expect(code { _ = try sequence.append([]) } == .invalidToken)
        #expect(code { _ = try sequence.append([259]) } == .invalidToken)
        #expect(code { _ = try sequence.append(TestModels.tokens(381)) } == .contextExceeded)
        #expect(sequence.tokenCount == 20)
        _ = try sequence.append(TestModels.tokens(12))
        #expect(sequence.blockCount == 2)
    }

    @Test("run out when all pages are in use, and come back with the sequence that held them")
    func pages() throws {
        let engine = try Engine(TestModels.odd) { $0.cacheTokenCountMax = 100 }
        let first = engine.makeSequence()
        _ = try first.append(TestModels.tokens(60))
        do {
            let second = engine.makeSequence()
            _ = try second.append(TestModels.tokens(40))
            #expect(throws: EngineError.self) { try second.append(TestModels.tokens(20)) }
            #expect(second.tokenCount == 40)
        }
        _ = try engine.makeSequence().append(TestModels.tokens(40))
    }

    @Test("have a namespace that names model, layout and number format, and nothing of how it is computed")
    func namespace() throws {
        func description(seed: UInt64 = 7, _ change: (inout EngineOptions) -> Void = { _ in }) throws -> NamespaceID {
            try Engine(TestModels.odd, seed: seed, change).namespaceDescription().id
        }
        let base = try description()
        #expect(try description(seed: 8) != base)
        #expect(try description { $0.tokensPerBlock = 32 } != base)
        #expect(try description { $0.elementType = .bfloat16 } != base)
        #expect(try description { $0.threadCount = 1 } == base)
        #expect(try description { $0.variant = .portable } == base)
        let narrow = try Engine(TestModels.odd) { $0.elementType = .bfloat16 }.namespaceDescription()
        #expect(narrow.elementType == .bfloat16)
        #expect(narrow.tokensPerBlock == 16)
    }

    /// Clears a bit of every 16-bit element's exponent: payloads of not-a-number are not kept by narrow formats.
    private static func avoidNotANumber(_ bytes: inout [UInt8]) {
        for index in stride(from: 1, to: bytes.count, by: 2) { bytes[index] &= 0xbf }
    }
}
