import Blocks
import Testing

@testable import Engine

@Suite("However a prompt is computed, its logits have the same bits")
struct SplitPromptTests {
    private static let tokens = TestModels.tokens(150)

    @Test(
        "in pieces of any length as at once",
        arguments: [1, 7, 16, 64, 149],
        [ElementType.float32, .bfloat16, .float16]
    )
    func pieces(pieceLength: Int, elementType: ElementType) throws {
        let engine = try Engine(TestModels.odd) { $0.elementType = elementType }
        let whole = try engine.makeSequence().append(Self.tokens)
        let sequence = engine.makeSequence()
        var last: Logits?
        for start in stride(from: 0, to: Self.tokens.count, by: pieceLength) {
            last = try sequence.append(Self.tokens[start..<min(Self.tokens.count, start + pieceLength)])
        }
        #expect(last == whole)
        #expect(last?.digest == whole.digest)
    }

    @Test("longer than one pass takes, in pieces that straddle the passes")
    func severalPasses() throws {
        var configuration = TestModels.odd
        configuration.layerCount = 1
        configuration.contextTokenCountMax = 700
        let tokens = TestModels.tokens(ForwardPass.rowCountMax * 2 + 77)
        let engine = try Engine(configuration)
        let whole = try engine.makeSequence().append(tokens)
        let sequence = engine.makeSequence()
        _ = try sequence.append(tokens.prefix(300))
        #expect(try sequence.append(tokens.dropFirst(300)) == whole)
    }

    @Test("by one, two, three or eight threads", arguments: [1, 2, 3, 8])
    func threads(threadCount: Int) throws {
        let expected = try Engine(TestModels.odd) { $0.threadCount = 1 }.makeSequence().append(Self.tokens)
        let engine = try Engine(TestModels.odd) { $0.threadCount = threadCount }
        #expect(try engine.makeSequence().append(Self.tokens) == expected)
    }

    @Test("with every instruction set of this machine", arguments: KernelVariant.allCases)
    func variants(variant: KernelVariant) throws {
        guard variant.isSupported else { return }
        let expected = try Engine(TestModels.odd) { $0.variant = .portable }.makeSequence().append(Self.tokens)
        let engine = try Engine(TestModels.odd) { $0.variant = variant }
        #expect(engine.variant == variant)
        #expect(try engine.makeSequence().append(Self.tokens) == expected)
    }

    @Test(
        "with the leading blocks taken from another engine",
        arguments: [ElementType.float32, .bfloat16, .float16],
        [1, 8, 16, 24]
    )
    func reuse(elementType: ElementType, tokensPerBlock: Int) throws {
        func makeEngine() throws -> Engine {
            try Engine(TestModels.odd) {
                $0.elementType = elementType
                $0.tokensPerBlock = tokensPerBlock
            }
        }
        let writer = try makeEngine()
        let computed = writer.makeSequence()
        let whole = try computed.append(Self.tokens)
        let blockCount = (Self.tokens.count - 1) / tokensPerBlock
        let bytes = try computed.exported(blockCount, writer.layout)

        for reusedCount in [1, blockCount / 2, blockCount] {
            let sequence = try makeEngine().makeSequence()
            try sequence.importBlocks(Array(bytes.prefix(reusedCount * writer.layout.blockByteCount)))
            #expect(sequence.tokenCount == reusedCount * tokensPerBlock)
            #expect(try sequence.append(Self.tokens.dropFirst(sequence.tokenCount)) == whole)
        }
    }

    @Test("token by token behind a reused prefix as behind a computed one")
    func decoding() throws {
        let engine = try Engine(TestModels.odd) { $0.elementType = .bfloat16 }
        func generate(_ sequence: EngineSequence, _ rest: ArraySlice<UInt32>) throws -> [Logits] {
            var logits = [try sequence.append(rest)]
            var sampler = Sampler()
            for _ in 0..<20 {
                guard let last = logits.last else { break }
                logits.append(try sequence.append([sampler.next(last)]))
            }
            return logits
        }
        let computed = engine.makeSequence()
        let expected = try generate(computed, Self.tokens[...])
        let reused = engine.makeSequence()
        try reused.importBlocks(computed.exported(5, engine.layout))
        #expect(try generate(reused, Self.tokens.dropFirst(80)) == expected)
    }

    @Test("and other tokens, seeds or number formats have others")
    func distinct() throws {
        let engine = try Engine(TestModels.odd)
        let base = try engine.makeSequence().append(Self.tokens)
        var changed = Self.tokens
        changed[0] ^= 1
        #expect(try engine.makeSequence().append(changed).digest != base.digest)
        #expect(try Engine(TestModels.odd, seed: 8).makeSequence().append(Self.tokens).digest != base.digest)
        let narrow = try Engine(TestModels.odd) { $0.elementType = .bfloat16 }
        #expect(try narrow.makeSequence().append(Self.tokens).digest != base.digest)
    }
}
