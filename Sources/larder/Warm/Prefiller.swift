internal import Blocks
internal import Engine
internal import LarderClient

/// Computes prompts with the worker's engine and gives their blocks to the node.
final class Prefiller {
    private let engine: Engine
    private let exchange: WorkerExchange
    private let runner: RequestRunner
    private let tokenizer: ByteTokenizer
    /// What the engine's blocks are, for the node.
    let description: NamespaceDescription

    /// Makes the engine; connects to the node.
    init(_ options: WorkerEngineOptions, node: LarderClientConfiguration) async throws {
        engine = try options.makeEngine()
        description = try engine.namespaceDescription()
        exchange = await WorkerExchange(node, description)
        runner = RequestRunner(engine, exchange: exchange)
        do {
            tokenizer = try ByteTokenizer(engine.model.configuration)
        } catch {
            throw CommandFailure(error)
        }
    }

    /// The keys of a prompt's whole blocks.
    func keys(of prompt: [UInt8]) throws -> [BlockKeyArgument] {
        var chain = try ChainedBlockHasher(
            tokensPerBlock: engine.layout.tokensPerBlock,
            context: PromptContext()
        )
        return chain.append(tokenizer.tokens(of: prompt)).map { BlockKeyArgument($0.key) }
    }

    /// Computes what the node does not hold of a prompt, and stores it; returns the blocks the node took.
    func prefill(_ prompt: [UInt8]) async throws -> Int {
        var options = RequestOptions()
        options.newTokenCountMax = 0
        let tokens = tokenizer.tokens(of: prompt)
        do throws(EngineError) {
            try engine.prepare(tokenCount: tokens.count)
            return try await runner.run(tokens, options).stored.stored
        } catch {
            throw CommandFailure(error)
        }
    }

    /// Ends the connections.
    func close() async {
        await exchange.close()
    }
}
