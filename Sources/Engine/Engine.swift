package import Blocks

/// The reference engine: a model, the threads that compute it, and the pages that hold keys and values.
///
/// ```swift
/// let engine = try Engine(model: .seeded(1), options: EngineOptions(tokensPerBlock: 16))
/// let sequence = engine.makeSequence()
/// let logits = try sequence.append(ByteTokenizer(engine.model.configuration).tokens(of: "Once upon a time"))
/// try sequence.exportBlock(0, into: memory)       // engine.layout.blockByteCount bytes
/// ```
///
/// An engine computes one sequence at a time: its sequences must not be used from two threads at once.
package final class Engine {
    /// The model.
    package let model: Model
    /// How blocks lie in memory.
    package let layout: KVLayout
    /// The instruction set in use.
    package let variant: KernelVariant
    let team: ThreadTeam
    let forwardPass: ForwardPass
    private let pool: PagePool

    /// Starts the threads; pages are taken as sequences grow.
    package init(model: Model, options: EngineOptions = EngineOptions()) throws(EngineError) {
        self.model = model
        layout = try KVLayout(
            model.configuration,
            tokensPerBlock: options.tokensPerBlock,
            elementType: options.elementType
        )
        variant = options.variant.isSupported ? options.variant : .best
        team = ThreadTeam(threadCount: options.threadCount)
        forwardPass = ForwardPass(model, team: team, variant: variant)
        let pageCount = max(1, options.cacheTokenCountMax) / KVPage.tokenCount + 1
        pool = PagePool(KVPageShape(layout), pageCountMax: pageCount)
    }

    /// What makes two engines' blocks interchangeable.
    ///
    /// `arithmetic` names the order and rounding of all sums: engines whose results would differ in a bit must not
    /// share blocks, or logits after reuse would not equal those of computing. It is the same for every instruction
    /// set and thread count.
    package func namespaceDescription() throws(CacheError) -> NamespaceDescription {
        try NamespaceDescription(
            model: model.name,
            revision: model.digest,
            elementType: layout.elementType,
            tokensPerBlock: layout.tokensPerBlock,
            layout: KVLayout.name,
            others: [
                JSONObject.Member("engine", .string("larder")),
                JSONObject.Member("arithmetic", .string("float32-fused-1")),
            ]
        )
    }

    /// Takes the memory for the keys and values of `tokenCount` tokens now, so that no request waits for fresh pages.
    ///
    /// - Throws: `.contextExceeded` when that is more than the engine's options allow.
    package func prepare(tokenCount: Int) throws(EngineError) {
        try pool.prepare((max(0, tokenCount) + KVPage.tokenCount - 1) / KVPage.tokenCount)
    }

    /// An empty sequence.
    package func makeSequence() -> EngineSequence {
        EngineSequence(self, cache: PagedCache(layout, pool: pool))
    }
}

/// How an engine is set up.
package struct EngineOptions: Sendable {
    /// Tokens of a block.
    package var tokensPerBlock = 16
    /// The number format that keys and values are rounded to: float32, bfloat16 or float16.
    package var elementType = ElementType.float32
    /// Threads that compute, the caller's included.
    package var threadCount = 2
    /// Tokens whose keys and values may be held at once, over all sequences.
    package var cacheTokenCountMax = 32_768
    /// The instruction set; one that the machine lacks gives way to the best that it has.
    package var variant = KernelVariant.best

    package init() {}
}
