internal import ArgumentParser
internal import Engine

/// A worker with a real decoder, so that reuse across processes can be seen, timed and checked.
struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker",
        abstract: "Answer prompts with a small decoder on the CPU, reusing prefixes that a node keeps.",
        discussion: """
            For each prompt the worker asks the node which leading blocks it has, loads them, computes the rest, \
            generates, and gives the new blocks to the node. The digest covers the logits behind the prompt: it is \
            the same whether the prefix was computed or reused.

              larder worker --prompt-file prompt.txt              # computes everything, stores the blocks
              larder worker --prompt-file prompt.txt              # another process: reuses them, same digest
              larder worker --prompt-file chat.jsonl --output json
              larder worker --prompt-file prompt.txt --no-reuse --no-store      # what it takes without a node

            PROMPT FILES:
              A file whose name ends in .jsonl has one request a line:
                {"prompt": "one text"}
                {"turns": ["first question", "second question"]}
              Of several turns, each asks with the whole conversation so far: earlier turns and their answers. \
            Any other file, or - for standard input, is one prompt. Text is taken as bytes, one token each.

            MODELS:
              Without --model, weights come from --seed: untrained, so the text is noise, at the cost of a real \
            model. --model names a directory with config.json and safetensors of a Llama model in Hugging Face's \
            layout. Workers share blocks when weights, --kv-dtype and --block-tokens are the same.

            A node that is away or slow is a miss: the worker says so once and computes.
            """
    )

    @OptionGroup var node: NodeOptions
    @OptionGroup(title: "Engine") var engine: WorkerEngineOptions
    @OptionGroup(title: "Requests") var requests: WorkerRequestOptions
    @OptionGroup var output: OutputOptions

    mutating func run() async throws {
        let prompts = try WorkerPromptFile.conversations(at: requests.promptFile)
        let engine = try engine.makeEngine()
        let exchange = try await requests.makeExchange(node, engine: engine)
        let conversations = try WorkerConversations(engine, exchange: exchange, requests)
        var report = WorkerReport.empty
        for (index, turns) in prompts.enumerated() {
            try await conversations.run(turns) { turn, outcome, answer in
                report.rows.append(WorkerReport.row(request: index + 1, turn: turn, outcome, answer: answer))
            }
        }
        await exchange.close()
        try output.print(report)
    }
}
