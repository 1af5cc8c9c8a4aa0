internal import ArgumentParser
internal import Blocks
internal import Engine

/// The model and how it is computed.
struct WorkerEngineOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Directory of a Llama model: config.json and safetensors.", valueName: "dir"))
    var model: String?

    @Option(help: ArgumentHelp("Where the weights come from without --model.", valueName: "number"))
    var seed: UInt64 = 1

    @Option(help: ArgumentHelp("Tokens of a block.", valueName: "count"))
    var blockTokens = 16

    @Option(help: ArgumentHelp("Number format of keys and values: float32, bfloat16 or float16.", valueName: "type"))
    var kvDtype = ElementType.float32

    @Option(help: ArgumentHelp("Threads that compute.", valueName: "count"))
    var threads = 2

    mutating func validate() throws {
        guard (1...256).contains(threads) else { throw ValidationError("--threads is 1 to 256") }
        guard (1...Limits.tokensPerBlockMax).contains(blockTokens) else {
            throw ValidationError("--block-tokens is 1 to \(Limits.tokensPerBlockMax)")
        }
        guard [.float32, .bfloat16, .float16].contains(kvDtype) else {
            throw ValidationError("--kv-dtype is float32, bfloat16 or float16")
        }
    }

    /// Makes or reads the weights and starts the threads.
    func makeEngine() throws(CommandFailure) -> Engine {
        var options = EngineOptions()
        options.tokensPerBlock = blockTokens
        options.elementType = kvDtype
        options.threadCount = threads
        do throws(EngineError) {
            let weights = if let model { try Model.load(directory: model) } else { try Model.seeded(seed) }
            options.cacheTokenCountMax = weights.configuration.contextTokenCountMax
            return try Engine(model: weights, options: options)
        } catch {
            throw CommandFailure(error)
        }
    }
}

extension ElementType: @retroactive ExpressibleByArgument {
    /// Reads any of the names that engines use; `nil` for others.
    public init?(argument: String) {
        self.init(name: argument)
        guard self != .unspecified else { return nil }
    }

    /// The name in help.
    public var defaultValueDescription: String { name }
}

extension CommandFailure {
    /// An engine's failure as the program's.
    init(_ error: EngineError) {
        let status: ExitStatus =
            switch error.code {
            case .unreadableFile: .noInput
            case .invalidConfiguration, .invalidWeights: .configuration
            case .contextExceeded, .invalidToken: .usage
            case .invalidBlock: .software
            }
        self.init(status, error.message)
    }
}
