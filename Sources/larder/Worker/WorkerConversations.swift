internal import Engine

/// Runs conversations through an engine, turn by turn.
struct WorkerConversations {
    private let runner: RequestRunner
    private let engine: Engine
    private let tokenizer: ByteTokenizer
    private let options: RequestOptions

    init(_ engine: Engine, exchange: any BlockExchange, _ requests: WorkerRequestOptions) throws(CommandFailure) {
        do throws(EngineError) {
            tokenizer = try ByteTokenizer(engine.model.configuration)
        } catch {
            throw CommandFailure(error)
        }
        self.engine = engine
        runner = RequestRunner(engine, exchange: exchange)
        options = requests.requestOptions
    }

    /// Runs one conversation; each turn's prompt is everything before it, answers included.
    ///
    /// - Parameters:
    ///   - turns: the texts of one side, as bytes.
    ///   - report: called after each turn with its number, from 1, and the answer's bytes.
    func run(
        _ turns: [[UInt8]],
        report: (_ turn: Int, _ outcome: RequestOutcome, _ answer: [UInt8]) -> Void
    ) async throws(CommandFailure) {
        var tokens: [UInt32] = []
        for (index, text) in turns.enumerated() {
            tokens += index == 0 ? tokenizer.tokens(of: text) : tokenizer.continuation(text)
            guard !tokens.isEmpty else { throw CommandFailure(.noInput, "a prompt is empty") }
            do throws(EngineError) {
                // Memory first: a request's time is what it computes, not what the system takes to hand out pages.
                try engine.prepare(tokenCount: tokens.count + options.newTokenCountMax)
                let outcome = try await runner.run(tokens, options)
                tokens += outcome.newTokens
                report(index + 1, outcome, tokenizer.bytes(of: outcome.newTokens))
            } catch {
                throw CommandFailure(error)
            }
        }
    }
}
